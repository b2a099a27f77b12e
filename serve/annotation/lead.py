"""What a lead may do over HTTP: watch, add people, retire votes, change numbers midway, decide disagreements."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Query, Request

from serve.annotation.forms import (
    REFUSED,
    Active,
    Have,
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

if TYPE_CHECKING:
    from serve.annotation.engine import Annotation


def add_lead_routes(app: FastAPI, service: "Annotation", gate: Gate) -> None:
    Lead = Annotated[Session, Depends(gate.leading)]

    @app.get("/api/lead/summary", summary="Progress, agreement, people, what is kept", responses=REFUSED)
    async def summary(_: Lead) -> dict[str, Any]:
        return await service.overview()

    @app.get("/api/lead/log", summary="What was done, the last first", responses=REFUSED)
    async def log(_: Lead, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        return {"events": await service.trail(limit)}

    @app.post("/api/lead/people", summary="Add somebody", responses=REFUSED)
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

    @app.post("/api/lead/people/{name}/active", summary="Let somebody sign in, or no more", responses=REFUSED)
    async def active(name: PersonName, body: Active, lead: Lead) -> dict[str, Any]:
        await service.lead(
            lambda connection: people.set_active(connection, name, body.active, lead.person.name)
        )
        return {}

    @app.post("/api/lead/people/{name}/votes", summary="Retire or restore votes", responses=REFUSED)
    async def retire(name: PersonName, body: Retired, lead: Lead) -> dict[str, Any]:
        touched = await service.lead(
            lambda connection: rounds.retire(
                connection, name, retired=body.retired, by=lead.person.name, reason=body.reason
            )
        )
        return {"votes": touched}

    @app.post("/api/lead/people/{name}/release", summary="Give what they hold to others", responses=REFUSED)
    async def release(name: PersonName, lead: Lead) -> dict[str, Any]:
        return {
            "jobs": await service.lead(lambda connection: seats.release(connection, name, lead.person.name))
        }

    @app.post("/api/lead/paused", summary="Pause, or go on", responses=REFUSED)
    async def pause(body: Paused, lead: Lead) -> dict[str, Any]:
        return await change({"paused": body.paused}, lead)

    @app.post("/api/lead/settings", summary="Change numbers midway", responses=REFUSED)
    async def new_settings(body: NewSettings, lead: Lead) -> dict[str, Any]:
        return await change(body.model_dump(exclude_none=True), lead)

    async def change(values: dict[str, Any], lead: Session) -> dict[str, Any]:
        return asdict(await service.change(values, lead.person))

    @app.post("/api/lead/rulings/next", summary="A disagreement to decide", responses=REFUSED)
    async def ruling(body: Have, lead: Lead) -> dict[str, Any]:
        found = await service.ruling(lead.person, body.have)
        if found is None:
            return {"job": None, "reason": "Nobody disagrees."}
        lease, said = found
        votes = {
            name: {"yes": each.yes, "no": each.no, "flags": list(each.flags)} for name, each in said.items()
        }
        seconds = (await service.now()).lease_seconds
        return {"job": {**shown(lease, lead.person, seconds), "votes": votes}, "reason": ""}


def sign_in_link(base: str, token: str) -> str:
    """The link that signs somebody in. What follows # is sent to no server and stands in no log."""
    return f"{base.rstrip('/')}/#sign-in={token}"
