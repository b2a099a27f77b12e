"""The HTTP interface of the student: routes, what clients may send and accept, and one sentence for everything else."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import FastAPI, File, Form, Header, HTTPException, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from serve.guards import BodyLimit
from stickers.errors import UserError
from stickers.video.codec import ANIMATION_MEDIA_TYPES

if TYPE_CHECKING:
    from serve.student.engine import AnimationRequest, Student

WEB = Path(__file__).parent / "web"
MAX_BODY_BYTES = 20 << 20
MAX_SEED = 2**32 - 1
BAD_REQUEST, NOT_ACCEPTABLE, UNPROCESSABLE = 400, 406, 422
SUFFIXES = {"image/webp": "webp", "image/apng": "apng", "image/gif": "gif", "video/mp4": "mp4"}

#: the answers of `POST /v1/animate`, for its OpenAPI description
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The animation, with transparency except in MP4",
        "content": {kind: {} for kind in ANIMATION_MEDIA_TYPES},
        "headers": {
            "X-Model-Digest": {"schema": {"type": "string"}, "description": "which model made it"},
            "X-Seed": {
                "schema": {"type": "integer"},
                "description": "send it again for the same animation",
            },
        },
    },
    400: {"description": "The picture or the prompt cannot be used"},
    406: {"description": "None of the accepted media types can be made"},
    413: {"description": "The request is too large"},
    422: {"description": "A field is missing or has the wrong form"},
    503: {"description": "Too many requests are waiting; try again after Retry-After seconds"},
}

Animate = Callable[["AnimationRequest"], Awaitable[np.ndarray]]


def build_app(student: "Student", animate: Animate) -> FastAPI:
    """The web application of one student.

    Args:
        animate: makes the clip of a request; it may batch requests.
    """
    app = FastAPI(
        title="Animated stickers",
        description="Send a picture and say how it shall move; get a looping animation back.",
        version="1",
        docs_url=None,  # FastAPI's page loads its scripts from another site; /docs below does not
        redoc_url=None,
    )
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)
    app.mount("/web", StaticFiles(directory=WEB), name="web")
    _add_pages(app, student)
    _add_animate(app, student, animate)
    return app


def _add_pages(app: FastAPI, student: "Student") -> None:
    """Add the pages, the health check, and one sentence for a request that cannot be read."""

    @app.exception_handler(RequestValidationError)
    async def explain(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": _sentence(error)}, status_code=UNPROCESSABLE)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(WEB / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(WEB / "docs.html")

    @app.get("/healthz", summary="Whether the student is ready, and which one it is")
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", **student.describe()}


def _add_animate(app: FastAPI, student: "Student", animate: Animate) -> None:
    """Add the route that animates a picture."""

    @app.post(
        "/v1/animate",
        summary="Animate a picture",
        response_class=Response,
        responses=ANSWERS,
    )
    async def animate_picture(
        picture: Annotated[UploadFile, File(description="PNG, WebP or JPEG, at most 4096 pixels a side")],
        prompt: Annotated[
            str, Form(description="how the picture shall move, for example: a teapot pours tea")
        ],
        seed: Annotated[
            int | None, Form(ge=0, le=MAX_SEED, description="for the same animation again")
        ] = None,
        accept: Annotated[str, Header(description="the animation's media type")] = "*/*",
    ) -> Response:
        media_type = negotiate(accept)
        if media_type is None:
            raise HTTPException(
                NOT_ACCEPTABLE,
                f"this service makes {', '.join(ANIMATION_MEDIA_TYPES)}, none of which is accepted",
            )
        chosen = secrets.randbelow(MAX_SEED + 1) if seed is None else seed
        try:
            animation_request = await asyncio.to_thread(student.prepare, await picture.read(), prompt, chosen)
        except UserError as error:
            raise HTTPException(BAD_REQUEST, str(error)) from None
        clip = await animate(animation_request)
        body = await asyncio.to_thread(student.encode, clip, media_type)
        headers = {
            "X-Model-Digest": student.digest,
            "X-Seed": str(chosen),
            "Cache-Control": "no-store",
            "Vary": "Accept",
            "Content-Disposition": f'inline; filename="sticker-{chosen}.{SUFFIXES[media_type]}"',
        }
        return Response(body, media_type=media_type, headers=headers)


def negotiate(accept: str) -> str | None:
    """The media type that a client prefers (RFC 9110, 12.5.1), or None; ties by the order of ANIMATION_MEDIA_TYPES."""
    ranges = [_media_range(part) for part in (accept or "*/*").split(",") if part.strip()]

    def quality(kind: str) -> float:
        family = kind.split("/")[0] + "/*"
        for media_range in (kind, family, "*/*"):  # the most specific range decides, even with weight 0
            weights = [q for name, q in ranges if name == media_range]
            if weights:
                return max(weights)
        return 0.0

    best = max(ANIMATION_MEDIA_TYPES, key=quality)
    return best if quality(best) > 0 else None


def _media_range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, min(1.0, max(0.0, float(parameter[2:])))
            except ValueError:  # an invalid weight counts as 0
                return name, 0.0
    return name, 1.0


def _sentence(error: RequestValidationError) -> str:
    """One sentence about the first invalid field that FastAPI reports."""
    finding = error.errors()[0]
    field = str(finding["loc"][-1])
    if field == "seed":
        return f"seed must be a whole number from 0 to {MAX_SEED}"
    if finding["type"] == "missing":
        return (
            f"the form field {field!r} is missing; a multipart form with 'picture' and 'prompt' is accepted"
        )
    if field == "picture":
        return "the form field 'picture' must be a file, not text"
    return f"the form field {field!r} cannot be used: {finding['msg']}"
