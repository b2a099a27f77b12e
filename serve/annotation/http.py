"""The annotation service's HTTP contract: sign-in, jobs, answers, clips, and what a lead may do.

Nothing that an annotator receives follows from who made a clip: jobs name clips by hashes, strips carry nothing but
pixels, and the order is one's own.
"""

import asyncio
import gc
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from serve.annotation.forms import REFUSED, Given, Have, JobId, SignIn, Skipped, shown
from serve.annotation.gate import COOKIE, Gate
from serve.annotation.lead import add_lead_routes
from serve.guards import LOOPBACK, BodyLimit, Doorkeeper, sentence
from stickers.annotation.store import people, seats
from stickers.annotation.store.people import Person, Session
from stickers.annotation.store.seats import Answer, Lease
from stickers.annotation.store.votes import Conflict
from stickers.errors import UserError

if TYPE_CHECKING:
    from serve.annotation.engine import Annotation, Limits

WEB = Path(__file__).parent / "web"
MAX_BODY_BYTES = 256 << 10
#: what people choose is nobody's trace
UNTRACED: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
#: what is judged (paper section 2.3), one glance away from the clips
CRITERIA = (
    {
        "name": "Motion quality",
        "text": "It moves a good deal, smoothly, naturally and with expression.",
    },
    {
        "name": "Relevance",
        "text": "What it does is clear at once and is what the words ask for.",
    },
    {
        "name": "Consistency",
        "text": "Nothing is distorted and nothing turns into something else.",
    },
)
SKIP_REASONS = (
    "I do not understand the words",
    "the clips do not play",
    "I know who made these",
    "upsetting",
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
    async def alive(_: FastAPI) -> AsyncIterator[None]:
        # what is imported stays: looking through it for garbage holds everybody up
        gc.collect()
        gc.freeze()
        yield
        gc.unfreeze()
        await asyncio.to_thread(service.votes.close)

    app = FastAPI(
        title="Animated stickers: annotation",
        description="People choose the animations that are worth sharing.",
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=alive,
        telemetry=UNTRACED,
    )
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)
    app.add_middleware(Doorkeeper, hosts={*LOOPBACK, *hosts})
    gate = Gate(service, limits)
    _errors(app)
    _choosing(app, service, gate)
    _clips(app, service, gate)
    _signing(app, service, gate, secure)
    _pages(app)
    add_lead_routes(app, service, gate)
    app.mount("/web", StaticFiles(directory=WEB), name="web")
    return app


def _errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def explain(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": sentence(error)}, status_code=422)

    @app.exception_handler(Conflict)
    async def conflict(_: Request, error: Conflict) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=409)

    @app.exception_handler(UserError)
    async def unusable(_: Request, error: UserError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=400)


def _pages(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(WEB / "index.html")

    @app.get("/lead", include_in_schema=False)
    async def lead_page() -> FileResponse:
        return FileResponse(WEB / "lead.html")

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
        person = session.person
        return {
            "name": person.name,
            "role": person.role,
            "csrf": session.csrf,
            "answered": await service.read(lambda connection: seats.count_answered(connection, person.name)),
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
        lease = await service.read(lambda connection: seats.recall(connection, person, job_id))
        if lease is None:
            raise HTTPException(404, f"job {job_id} is not one of yours")
        return shown(lease, person, (await service.now()).lease_seconds)

    @app.get("/api/history", summary="The jobs that one answered, the last first", responses=REFUSED)
    async def past(session: Annotated[Session, Depends(gate.signed_in)]) -> dict[str, Any]:
        name = session.person.name
        return {"jobs": await service.read(lambda connection: seats.history(connection, name))}


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
