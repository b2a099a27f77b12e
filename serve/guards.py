"""What every service of ours does before and after a request: how large it may be, whom it may come from, and what the
answer tells browsers."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: methods that change nothing
SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
#: pages take nothing from elsewhere, run nothing that stands in them, and are shown in nobody's frame; answers are kept
#: nowhere. What an application says itself stands.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "X-Frame-Options": "DENY",
}


class BodyLimit:
    """Refuses a request body over a limit before it is stored, whether or not its length is announced."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.max_bytes:
            await self._refuse()(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise HTTPException(413, self._text())
            return message

        await self.app(scope, counted, send)

    def _text(self) -> str:
        most = self.max_bytes
        return f"the request is larger than the accepted {f'{most >> 20} MiB' if most >> 20 else f'{most >> 10} KiB'}"

    def _refuse(self) -> JSONResponse:
        return JSONResponse({"detail": self._text()}, status_code=413, headers={"Connection": "close"})


class Doorkeeper:
    """Answers nobody who calls this host by a strange name, takes nothing from pages of others, and tells browsers what
    ours may do.

    The names keep a page elsewhere from reaching a service on this machine by pointing its own name here; the origin
    keeps it from sending what its visitor's cookie would vouch for.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], headers: Mapping[str, str] = HEADERS) -> None:
        self.app, self.hosts = app, {host.lower() for host in hosts}
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reason = self._refusal(scope)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name for name, _ in message.get("headers", ())}
                message["headers"] = [
                    *message.get("headers", ()),
                    *(each for each in self.headers if each[0] not in said),
                ]
            await send(message)

        if reason:
            await JSONResponse({"detail": reason[1]}, status_code=reason[0])(scope, receive, told)
        else:
            await self.app(scope, receive, told)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if "*" not in self.hosts and name_of(host) not in self.hosts:
            return 400, f"this service does not answer to the name {host[:100]!r}; --hosts lets it"
        if scope["method"] in SAFE:
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "this request comes from another page than ours"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "this request comes from another page than ours"
        return None


def name_of(host: str) -> str:
    """A Host header's name, without its port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def sentence(error: RequestValidationError) -> str:
    """FastAPI's list of findings as one sentence about the first field at fault."""
    finding: Any = error.errors()[0]
    field = ".".join(str(part) for part in finding["loc"][1:]) or str(finding["loc"][0])
    return f"{field[:80]}: {finding['msg'][:200]}"
