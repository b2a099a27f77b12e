"""What both services check before a request and add to every answer: the size of the body, the host and origin it
comes from, and the security headers for browsers."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: methods that change nothing (RFC 9110, 9.2.1)
SAFE = ("GET", "HEAD", "OPTIONS")
KIB, MIB = 1 << 10, 1 << 20
BAD_REQUEST, FORBIDDEN, TOO_LARGE = 400, 403, 413
#: characters of foreign text that an error repeats
HOST_SHOWN, FIELD_SHOWN, MESSAGE_SHOWN = 100, 80, 200
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
#: pages load nothing from other sites, run no inline scripts and appear in no frame; answers are not cached. Headers
#: that an application sets itself are kept.
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
    """Refuses a request body above a limit before it is stored, whether or not its length is announced."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
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
                raise HTTPException(TOO_LARGE, self._text())
            return message

        await self.app(scope, counted, send)

    def _text(self) -> str:
        limit = f"{self.max_bytes // MIB} MiB" if self.max_bytes >= MIB else f"{self.max_bytes // KIB} KiB"
        return f"the request is larger than the accepted {limit}"

    def _refuse(self) -> JSONResponse:
        return JSONResponse({"detail": self._text()}, status_code=TOO_LARGE, headers={"Connection": "close"})


class Doorkeeper:
    """Refuses requests for an unknown host name or from other sites' pages, and adds security headers to answers.

    The check of the host name stops a foreign page that points its own domain name at this machine (DNS rebinding). The
    check of the origin stops a foreign page that sends requests with its visitor's cookie (CSRF).
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], headers: Mapping[str, str] = HEADERS) -> None:
        self.app, self.hosts = app, {host.lower() for host in hosts}
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reason = self._refusal(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message.get("headers", ())}
                message["headers"] = [
                    *message.get("headers", ()),
                    *(header for header in self.headers if header[0] not in names),
                ]
            await send(message)

        if reason:
            await JSONResponse({"detail": reason[1]}, status_code=reason[0])(
                scope, receive, send_with_headers
            )
        else:
            await self.app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if "*" not in self.hosts and name_of(host) not in self.hosts:
            return (
                BAD_REQUEST,
                f"this service does not answer to the host name {host[:HOST_SHOWN]!r}; --hosts adds it",
            )
        if scope["method"] in SAFE:
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return FORBIDDEN, "this request comes from another site's page"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return FORBIDDEN, "this request comes from another site's page"
        return None


def name_of(host: str) -> str:
    """The host name in a Host header, without the port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def sentence(error: RequestValidationError) -> str:
    """One sentence about the first invalid field that FastAPI reports."""
    finding: Any = error.errors()[0]
    field = ".".join(str(part) for part in finding["loc"][1:]) or str(finding["loc"][0])
    return f"{field[:FIELD_SHOWN]}: {finding['msg'][:MESSAGE_SHOWN]}"
