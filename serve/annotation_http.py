"""The annotation service's HTTP contract: sign-in, jobs, answers, clips, and what a lead may do.

Nothing that an annotator receives follows from who made a clip: jobs name clips by hashes, strips carry nothing but
pixels, and the order is one's own.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from serve.guards import LOOPBACK, BodyLimit, Doorkeeper, sentence
from stickers.hitl import people, queue, rounds
from stickers.hitl.people import Person, Session
from stickers.hitl.queue import Answer, Lease
from stickers.hitl.votes import Conflict

if TYPE_CHECKING:
    from serve.annotation import Annotation, Limits

WEB = Path(__file__).parent / "web"
MAX_BODY_BYTES = 256 << 10
COOKIE = "stickers_session"
#: password tries that are hashed at a time: each takes a tenth of a second and 64 MiB
HASHED_AT_ONCE = 2
REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"description": "What was sent cannot be used"},
    401: {"description": "Nobody is signed in"},
    403: {"description": "Not for this role, or from another page than ours"},
    404: {"description": "There is no such thing, or it is not yours"},
    409: {"description": "It contradicts what is there, or comes too late"},
    413: {"description": "The request is too large"},
    422: {"description": "A field is missing or has the wrong form"},
    429: {"description": "Too often; try again after Retry-After seconds"},
}

Id = Annotated[str, Field(pattern="^[0-9a-z]{1,26}$")]
#: PostgreSQL keeps no text with a NUL in it
TEXT = r"^[^\x00]*$"
Name = Annotated[str, Field(min_length=1, max_length=people.LONGEST_NAME, pattern=TEXT)]
Words = Annotated[str, Field(min_length=1, max_length=queue.LONGEST_REASON, pattern=TEXT)]
JobId = Annotated[str, InPath(pattern="^[0-9a-z]{1,26}$")]
PersonName = Annotated[str, InPath(min_length=1, max_length=people.LONGEST_NAME, pattern=TEXT)]


class Body(BaseModel):
    """What is sent: nothing but what is named here."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SignIn(Body):
    token: Annotated[str, Field(max_length=200)] = ""
    name: Annotated[str, Field(max_length=people.LONGEST_NAME, pattern=TEXT)] = ""
    password: Annotated[str, Field(max_length=people.LONGEST_PASSWORD)] = ""


class Have(Body):
    have: Annotated[list[Id], Field(max_length=20)] = []


class Given(Have):
    picks: Annotated[list[Id], Field(max_length=100)]
    flags: Annotated[dict[Id, Literal["unsafe", "broken"]], Field(max_length=100)] = {}
    revision: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    seconds: Annotated[float, Field(ge=0, le=1e6, strict=False)] = 0.0


class Skipped(Have):
    reason: Words


class NewPerson(Body):
    name: Name
    role: Literal["annotator", "expert", "lead"]
    password: Annotated[
        str | None, Field(min_length=people.SHORTEST_PASSWORD, max_length=people.LONGEST_PASSWORD)
    ] = None


class Active(Body):
    active: bool


class Retired(Body):
    retired: bool
    reason: Words


class Paused(Body):
    paused: bool


class NewSettings(BaseModel):
    """Any of the settings; those left out stay."""

    model_config = ConfigDict(extra="forbid")

    rounds: Annotated[list[dict[str, str | int]] | None, Field(max_length=5)] = None
    clips_per_job: int | None = None
    policy: Annotated[str | None, Field(max_length=20)] = None
    gold_rate: float | None = None
    lease_seconds: float | None = None
    ordering: Annotated[str | None, Field(max_length=20)] = None
    audit_share: float | None = None
    paused: bool | None = None


class Gate:
    """Who may pass: a session, its role, its CSRF token, and how often one may ask."""

    def __init__(self, service: "Annotation", limits: "Limits") -> None:
        self.service = service
        self.counter = FixedWindowRateLimiter(MemoryStorage())
        self.wrong, self.tries, self.requests = (
            parse(each) for each in (limits.wrong_sign_ins, limits.password_tries, limits.requests)
        )
        self.hashing = asyncio.Semaphore(HASHED_AT_ONCE)

    async def signed_in(self, request: Request) -> Session:
        """The session of a request; one that changes something carries its token as well."""
        token = request.cookies.get(COOKIE, "")
        found = await self.service.session(token) if token else None
        if found is None:
            raise HTTPException(401, "nobody is signed in; open your sign-in link")
        self.limit(self.requests, "request", token)
        if request.method == "POST" and request.headers.get("x-csrf-token") != found.csrf:
            raise HTTPException(403, "the request does not carry this session's token; reload the page")
        return found

    async def leading(self, request: Request) -> Session:
        """The same, of a lead."""
        found = await self.signed_in(request)
        if found.person.role != "lead":
            raise HTTPException(403, "this is for leads")
        return found

    async def sign_in(self, body: SignIn, address: str) -> Session:
        """A session for a link or a password, tried seldom enough that nobody can guess."""
        if not body.token and not (body.name and body.password):
            raise HTTPException(422, "a sign-in has a token, or a name and a password")
        self.check(self.wrong, "wrong", address)
        if body.token:
            found = await self.service.sign_in(token=body.token)
        else:
            self.limit(self.tries, "password", body.name)
            async with self.hashing:
                self.check(self.wrong, "wrong", address)
                found = await self.service.sign_in(name=body.name, password=body.password)
        if found is None:
            self.counter.hit(self.wrong, "wrong", address)
            raise HTTPException(
                401, "this sign-in is not known, or is not valid any more; ask your lead for a link"
            )
        return found

    def limit(self, most: Any, what: str, who: str) -> None:
        """Count, and refuse what is too often."""
        if not self.counter.hit(most, what, who):
            self._refuse(most, what, who)

    def check(self, most: Any, what: str, who: str) -> None:
        """Refuse what was counted too often."""
        if not self.counter.test(most, what, who):
            self._refuse(most, what, who)

    def _refuse(self, most: Any, what: str, who: str) -> None:
        again = max(1, round(self.counter.get_window_stats(most, what, who).reset_time - time.time()))
        raise HTTPException(
            429, f"too many tries; again in {again} seconds", headers={"Retry-After": str(again)}
        )


def build_annotation(
    service: "Annotation", *, hosts: tuple[str, ...] = (), secure: bool = False, limits: "Limits"
) -> FastAPI:
    """The web application.

    Args:
        hosts: names that it answers to beside the loopback's; `*` for any, behind a gateway that checks them.
        secure: cookies go over HTTPS alone.

    The vote store is closed when the application ends.
    """

    @asynccontextmanager
    async def closing(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.votes.close)

    app = FastAPI(
        title="Animated stickers: annotation",
        description="People choose the animations that are worth sharing.",
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=closing,
    )
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)
    app.add_middleware(Doorkeeper, hosts={*LOOPBACK, *hosts})
    app.mount("/web", StaticFiles(directory=WEB), name="web")
    gate = Gate(service, limits)
    _errors(app)
    _pages(app)
    _signing(app, service, gate, secure)
    _choosing(app, service, gate)
    _clips(app, service, gate)
    _leading(app, service, gate)
    return app


def _errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def explain(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": sentence(error)}, status_code=422)

    @app.exception_handler(Conflict)
    async def conflict(_: Request, error: Conflict) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=409)

    @app.exception_handler(ValueError)
    async def unusable(_: Request, error: ValueError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=400)


def _pages(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(WEB / "annotation" / "index.html")

    @app.get("/lead", include_in_schema=False)
    async def lead_page() -> FileResponse:
        return FileResponse(WEB / "annotation" / "lead.html")

    @app.get("/healthz", summary="Does the service answer?")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}


def _signing(app: FastAPI, service: "Annotation", gate: Gate, secure: bool) -> None:
    @app.post("/api/sign-in", summary="Begin a session", responses=REFUSED)
    async def sign_in(body: SignIn, request: Request, response: Response) -> dict[str, Any]:
        found = await gate.sign_in(body, request.client.host if request.client else "")
        response.set_cookie(
            COOKIE,
            found.token,
            max_age=int(people.SESSION_SECONDS),
            httponly=True,
            samesite="strict",
            secure=secure,
        )
        return {"name": found.person.name, "role": found.person.role, "csrf": found.csrf}

    @app.post("/api/sign-out", summary="End the session", responses=REFUSED)
    async def sign_out(
        request: Request, response: Response, _: Annotated[Session, Depends(gate.signed_in)]
    ) -> dict[str, Any]:
        await service.sign_out(request.cookies.get(COOKIE, ""))
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=secure)
        return {}

    @app.get("/api/me", summary="Who is signed in, and what is asked of them", responses=REFUSED)
    async def me(session: Annotated[Session, Depends(gate.signed_in)]) -> dict[str, Any]:
        from serve.annotation import CRITERIA, SKIP_REASONS

        person = session.person
        return {
            "name": person.name,
            "role": person.role,
            "csrf": session.csrf,
            "answered": await service.read(lambda connection: queue.count_answered(connection, person.name)),
            "criteria": CRITERIA,
            "skip_reasons": SKIP_REASONS,
            "paused": (await service.now()).paused,
        }


def _choosing(app: FastAPI, service: "Annotation", gate: Gate) -> None:
    async def told(person: Person, lease: Lease | None, **more: Any) -> JSONResponse:
        now = await service.now()
        job = shown(lease, person, now.lease_seconds) if lease else None
        reason = "" if lease else _nothing(person, now.paused)
        # built by us, so nothing has to look at it
        return JSONResponse({"job": job, "reason": reason, **more})

    @app.post("/api/next", summary="Take the next job", responses=REFUSED)
    async def take_next(body: Have, session: Annotated[Session, Depends(gate.signed_in)]) -> JSONResponse:
        return await told(session.person, await service.next(session.person, body.have))

    @app.post("/api/jobs/{job_id}/answer", summary="Answer a job and take the next", responses=REFUSED)
    async def answer(
        job_id: JobId, body: Given, session: Annotated[Session, Depends(gate.signed_in)]
    ) -> JSONResponse:
        said = Answer(picks=body.picks, flags=body.flags, revision=body.revision, seconds=body.seconds)
        vote, lease = await service.give(session.person, job_id, said, {*body.have, job_id})
        saved = {"job_id": vote.job_id, "revision": vote.revision}
        return await told(session.person, lease, saved=saved)

    @app.post("/api/jobs/{job_id}/skip", summary="Give a job to somebody else", responses=REFUSED)
    async def skip(
        job_id: JobId, body: Skipped, session: Annotated[Session, Depends(gate.signed_in)]
    ) -> JSONResponse:
        lease = await service.skip(session.person, job_id, body.reason, {*body.have, job_id})
        return await told(session.person, lease)

    @app.get("/api/jobs/{job_id}", summary="A job of one's own, with the answer", responses=REFUSED)
    async def one(job_id: JobId, session: Annotated[Session, Depends(gate.signed_in)]) -> dict[str, Any]:
        person = session.person
        lease = await service.read(lambda connection: queue.recall(connection, person, job_id))
        if lease is None:
            raise HTTPException(404, f"job {job_id} is not one of yours")
        return shown(lease, person, (await service.now()).lease_seconds)

    @app.get("/api/history", summary="The jobs that one answered, the last first", responses=REFUSED)
    async def past(session: Annotated[Session, Depends(gate.signed_in)]) -> dict[str, Any]:
        name = session.person.name
        return {"jobs": await service.read(lambda connection: queue.history(connection, name))}


def shown(lease: Lease, person: Person, seconds: float) -> dict[str, Any]:
    """A job as its person sees it: the clips in an order of their own, and nothing of who made them."""
    job, said = lease.job, lease.answer
    return {
        "job_id": job.job_id,
        "clips": [
            {
                "id": job.candidates[place],
                "url": f"/clips/{job.digests[place]}.webp",
                "frames": job.frames[place],
                "fps": job.fps[place],
                "prompt": job.prompts[place],
            }
            for place in job.order_for(person.name)
        ],
        "revision": lease.revision,
        "answer": {"picks": said.picks, "flags": dict(zip(said.flagged, said.flags, strict=True))}
        if said
        else None,
        "lease_seconds": seconds,
    }


def _nothing(person: Person, paused: bool) -> str:
    if paused:
        return "The work is paused; your lead will say when it goes on."
    if person.role == "expert":
        return "Nothing waits for you: clips come here once annotators have chosen them."
    if person.role == "lead":
        return "Leads decide disagreements, on their own page."
    return "All is done for now. Thank you! New jobs appear here when there are any."


def _clips(app: FastAPI, service: "Annotation", gate: Gate) -> None:
    @app.get(
        "/clips/{name}",
        summary="A clip: frames stacked from top to bottom",
        response_class=Response,
        responses={**REFUSED, 200: {"content": {"image/webp": {}}}},
    )
    async def clip(
        name: Annotated[str, InPath(pattern=r"^[0-9a-z]{1,26}\.webp$")],
        _: Annotated[Session, Depends(gate.signed_in)],
    ) -> Response:
        found = await service.clip(re.sub(r"\.webp$", "", name))
        if found is None:
            raise HTTPException(404, "there is no such clip")
        headers = {"Cache-Control": "private, max-age=31536000, immutable"}
        return Response(found, media_type="image/webp", headers=headers)


def _leading(app: FastAPI, service: "Annotation", gate: Gate) -> None:
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
            "jobs": await service.lead(lambda connection: queue.release(connection, name, lead.person.name))
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
