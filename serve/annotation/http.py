"""The HTTP interface of the annotation service: sign-in, jobs, answers, clips and pages; `lead` adds the lead's routes.

Nothing that an annotator receives tells who made a clip: jobs name clips by hashes, strips hold nothing but pixels, and
every person sees the clips of a job in a different order.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from serve.annotation.engine import Annotation, Limits
from serve.annotation.forms import REFUSED, AnswerBody, HeldJobs, JobId, SignIn, SkipBody, shown
from serve.annotation.gate import COOKIE, Gate
from serve.annotation.lead import add_lead_routes
from serve.guards import LOOPBACK, BodyLimit, Doorkeeper, sentence
from stickers.annotation.store import people, seats
from stickers.annotation.store.people import Person, Session
from stickers.annotation.store.seats import Answer, Lease
from stickers.annotation.store.votes import ConflictError
from stickers.errors import UserError

WEB = Path(__file__).parent / "web"
MAX_BODY_BYTES = 256 << 10
#: who chooses what is private, so it leaves no traces
UNTRACED: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
#: what people judge (paper section 2.3), shown beside the clips
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
    service: Annotation, *, hosts: tuple[str, ...] = (), secure: bool = False, limits: Limits
) -> FastAPI:
    """The web application. It closes the vote store when it ends.

    Args:
        hosts: host names that it accepts beside the loopback's; `*` for any, behind a gateway that checks them.
        secure: cookies are sent over HTTPS only.
    """

    @asynccontextmanager
    async def alive(_: FastAPI) -> AsyncIterator[None]:
        # imported modules are never garbage; collecting them would hold up every request
        gc.collect()
        gc.freeze()
        yield
        gc.unfreeze()
        await asyncio.to_thread(service.store.close)

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
    _add_error_handlers(app)
    _add_job_routes(app, service, gate)
    _add_clip_route(app, service, gate)
    _add_session_routes(app, service, gate, secure)
    _add_pages(app)
    add_lead_routes(app, service, gate)
    app.mount("/web", StaticFiles(directory=WEB), name="web")
    return app


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def explain(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": sentence(error)}, status_code=422)

    @app.exception_handler(ConflictError)
    async def conflict(_: Request, error: ConflictError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=409)

    @app.exception_handler(UserError)
    async def unusable(_: Request, error: UserError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=400)


def _add_pages(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(WEB / "index.html")

    @app.get("/lead", include_in_schema=False)
    async def lead_page() -> FileResponse:
        return FileResponse(WEB / "lead.html")

    @app.get("/healthz", summary="Whether the service answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}


def _add_session_routes(app: FastAPI, service: Annotation, gate: Gate, secure: bool) -> None:
    @app.post("/api/sign-in", summary="Begin a session", responses=REFUSED)
    async def sign_in(body: SignIn, request: Request, response: Response) -> dict[str, Any]:
        session = await gate.sign_in(body, request.client.host if request.client else "")
        response.set_cookie(
            COOKIE,
            session.token,
            max_age=int(people.SESSION_SECONDS),
            httponly=True,
            samesite="strict",
            secure=secure,
        )
        return {"name": session.person.name, "role": session.person.role, "csrf": session.csrf}

    @app.post("/api/sign-out", summary="End the session", responses=REFUSED)
    async def sign_out(
        request: Request, response: Response, _: Annotated[Session, Depends(gate.signed_in)]
    ) -> dict[str, Any]:
        await service.sign_out(request.cookies.get(COOKIE, ""))
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=secure)
        return {}

    @app.get("/api/me", summary="Who is signed in, and how they are to choose", responses=REFUSED)
    async def me(session: Annotated[Session, Depends(gate.signed_in)]) -> dict[str, Any]:
        person = session.person
        return {
            "name": person.name,
            "role": person.role,
            "csrf": session.csrf,
            "answered": await service.read(lambda connection: seats.count_answered(connection, person.name)),
            "criteria": CRITERIA,
            "skip_reasons": SKIP_REASONS,
            "paused": (await service.current_settings()).paused,
        }


def _add_job_routes(app: FastAPI, service: Annotation, gate: Gate) -> None:
    async def reply(person: Person, lease: Lease | None, **more: Any) -> JSONResponse:
        settings = await service.current_settings()
        job = shown(lease, person, settings.lease_seconds) if lease else None
        reason = "" if lease else _reason_for_no_job(person, settings.paused)
        # a response, not a dictionary: FastAPI would validate and copy the dictionary again
        return JSONResponse({"job": job, "reason": reason, **more})

    @app.post("/api/next", summary="Take the next job", responses=REFUSED)
    async def take_next(body: HeldJobs, session: Annotated[Session, Depends(gate.signed_in)]) -> JSONResponse:
        return await reply(session.person, await service.next(session.person, body.have))

    @app.post("/api/jobs/{job_id}/answer", summary="Answer a job and take the next", responses=REFUSED)
    async def answer(
        job_id: JobId, body: AnswerBody, session: Annotated[Session, Depends(gate.signed_in)]
    ) -> JSONResponse:
        full_answer = Answer(picks=body.picks, flags=body.flags, revision=body.revision, seconds=body.seconds)
        vote, lease = await service.give(session.person, job_id, full_answer, {*body.have, job_id})
        saved = {"job_id": vote.job_id, "revision": vote.revision}
        return await reply(session.person, lease, saved=saved)

    @app.post("/api/jobs/{job_id}/skip", summary="Give a job to somebody else", responses=REFUSED)
    async def skip(
        job_id: JobId, body: SkipBody, session: Annotated[Session, Depends(gate.signed_in)]
    ) -> JSONResponse:
        lease = await service.skip(session.person, job_id, body.reason, {*body.have, job_id})
        return await reply(session.person, lease)

    @app.get("/api/jobs/{job_id}", summary="A job of the person, with their answer", responses=REFUSED)
    async def own_job(job_id: JobId, session: Annotated[Session, Depends(gate.signed_in)]) -> dict[str, Any]:
        person = session.person
        lease = await service.read(lambda connection: seats.recall(connection, person, job_id))
        if lease is None:
            raise HTTPException(404, f"job {job_id} is not one of yours")
        return shown(lease, person, (await service.current_settings()).lease_seconds)

    @app.get("/api/history", summary="The jobs that the person answered, the latest first", responses=REFUSED)
    async def history(session: Annotated[Session, Depends(gate.signed_in)]) -> dict[str, Any]:
        name = session.person.name
        return {"jobs": await service.read(lambda connection: seats.history(connection, name))}


def _reason_for_no_job(person: Person, paused: bool) -> str:
    if paused:
        return "The work is paused; your lead will say when it goes on."
    if person.role == "expert":
        return "There is nothing for you yet: clips appear here once annotators have chosen them."
    if person.role == "lead":
        return "Leads decide disagreements on the lead's page."
    return "Everything is done for now. Thank you! New jobs will appear here."


def _add_clip_route(app: FastAPI, service: Annotation, gate: Gate) -> None:
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
        strip = await service.clip(name.removesuffix(".webp"))
        if strip is None:
            raise HTTPException(404, "there is no such clip")
        headers = {"Cache-Control": "private, max-age=31536000, immutable"}
        return Response(strip, media_type="image/webp", headers=headers)
