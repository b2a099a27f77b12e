"""The lead's routes: watch progress, manage people, retire votes, change settings, decide disagreements."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request

from serve.annotation.engine import Annotation
from serve.annotation.forms import (
    REFUSED,
    Active,
    HeldJobs,
    NewPerson,
    NewSettings,
    Paused,
    PersonName,
    Retired,
    shown,
)
from serve.annotation.gate import Gate
from stickers.annotation import rounds
from stickers.annotation.store import people, seats
from stickers.annotation.store.people import Session


def add_lead_routes(app: FastAPI, service: Annotation, gate: Gate) -> None:
    """Add what only a lead may do to the application."""
    _add_overview_routes(app, service, gate)
    _add_people_routes(app, service, gate)
    _add_vote_routes(app, service, gate)


def _add_overview_routes(app: FastAPI, service: Annotation, gate: Gate) -> None:
    """Routes to watch progress and to change settings."""
    Lead = Annotated[Session, Depends(gate.leading)]

    @app.get("/api/lead/summary", summary="Progress, agreement, people, what is kept", responses=REFUSED)
    async def summary(_: Lead) -> dict[str, Any]:
        return await service.overview()

    @app.get("/api/lead/log", summary="The log of events, the latest first", responses=REFUSED)
    async def log(_: Lead, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        return {"events": await service.trail(limit)}

    @app.post("/api/lead/paused", summary="Pause or resume", responses=REFUSED)
    async def pause(body: Paused, lead: Lead) -> dict[str, Any]:
        return await change({"paused": body.paused}, lead)

    @app.post("/api/lead/settings", summary="Change settings", responses=REFUSED)
    async def new_settings(body: NewSettings, lead: Lead) -> dict[str, Any]:
        return await change(body.model_dump(exclude_none=True), lead)

    async def change(values: dict[str, Any], lead: Session) -> dict[str, Any]:
        return asdict(await service.change(values, lead.person))


def _add_people_routes(app: FastAPI, service: Annotation, gate: Gate) -> None:
    """Routes to add people, and to let them in or keep them out."""
    Lead = Annotated[Session, Depends(gate.leading)]

    @app.post("/api/lead/people", summary="Add a person", responses=REFUSED)
    async def add(body: NewPerson, lead: Lead, request: Request) -> dict[str, Any]:
        token = await service.lead(
            lambda connection: people.add_person(
                connection, body.name, body.role, password=body.password, by=lead.person.name
            )
        )
        return {"name": body.name, "role": body.role, "link": sign_in_link(str(request.base_url), token)}

    @app.post("/api/lead/people/{name}/link", summary="A new sign-in link", responses=REFUSED)
    async def link(name: PersonName, lead: Lead, request: Request) -> dict[str, Any]:
        token = await service.lead(lambda connection: people.new_link(connection, name, lead.person.name))
        return {"name": name, "link": sign_in_link(str(request.base_url), token)}

    @app.post(
        "/api/lead/people/{name}/active", summary="Allow or forbid a person to sign in", responses=REFUSED
    )
    async def active(name: PersonName, body: Active, lead: Lead) -> dict[str, Any]:
        await service.lead(
            lambda connection: people.set_active(connection, name, body.active, lead.person.name)
        )
        return {}


def _add_vote_routes(app: FastAPI, service: Annotation, gate: Gate) -> None:
    """Routes to retire votes, to release jobs, and to decide disagreements."""
    Lead = Annotated[Session, Depends(gate.leading)]

    @app.post("/api/lead/people/{name}/votes", summary="Retire or restore votes", responses=REFUSED)
    async def retire(name: PersonName, body: Retired, lead: Lead) -> dict[str, Any]:
        num_votes = await service.lead(
            lambda connection: rounds.retire(
                connection, name, retired=body.retired, by=lead.person.name, reason=body.reason
            )
        )
        return {"votes": num_votes}

    @app.post(
        "/api/lead/people/{name}/release",
        summary="Give the jobs that a person holds to others",
        responses=REFUSED,
    )
    async def release(name: PersonName, lead: Lead) -> dict[str, Any]:
        return {
            "jobs": await service.lead(lambda connection: seats.release(connection, name, lead.person.name))
        }

    @app.post("/api/lead/rulings/next", summary="A disagreement to decide", responses=REFUSED)
    async def ruling(body: HeldJobs, lead: Lead) -> dict[str, Any]:
        disputed_job = await service.ruling(lead.person, body.have)
        if disputed_job is None:
            return {"job": None, "reason": "Nobody disagrees."}
        lease, verdicts = disputed_job
        votes = {
            name: {"yes": verdict.yes, "no": verdict.no, "flags": list(verdict.flags)}
            for name, verdict in verdicts.items()
        }
        seconds = (await service.current_settings()).lease_seconds
        return {"job": {**shown(lease, lead.person, seconds), "votes": votes}, "reason": ""}


def sign_in_link(base: str, token: str) -> str:
    """The link that signs a person in. Browsers do not send what follows #, so the token is in no log."""
    return f"{base.rstrip('/')}/#sign-in={token}"
