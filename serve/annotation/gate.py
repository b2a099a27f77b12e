"""Who may pass: what a request must look like, a session with its role and token, and how often one may ask."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

from fastapi import Request
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.exceptions import HTTPException

from serve.annotation.forms import SignIn
from stickers.annotation.store.people import Session

if TYPE_CHECKING:
    from serve.annotation.engine import Annotation, Limits

COOKIE = "stickers_session"
#: password tries that are hashed at a time: each takes a tenth of a second and 64 MiB
HASHED_AT_ONCE = 2


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
        await self.limit(self.requests, "request", token)
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
        await self.check(self.wrong, "wrong", address)
        if body.token:
            found = await self.service.sign_in(token=body.token)
        else:
            await self.limit(self.tries, "password", body.name)
            async with self.hashing:
                await self.check(self.wrong, "wrong", address)
                found = await self.service.sign_in(name=body.name, password=body.password)
        if found is None:
            await self.counter.hit(self.wrong, "wrong", address)
            raise HTTPException(
                401, "this sign-in is not known, or is not valid any more; ask your lead for a link"
            )
        return found

    async def limit(self, most: Any, what: str, who: str) -> None:
        """Count, and refuse what is too often."""
        if not await self.counter.hit(most, what, who):
            await self._refuse(most, what, who)

    async def check(self, most: Any, what: str, who: str) -> None:
        """Refuse what was counted too often."""
        if not await self.counter.test(most, what, who):
            await self._refuse(most, what, who)

    async def _refuse(self, most: Any, what: str, who: str) -> None:
        found = await self.counter.get_window_stats(most, what, who)
        again = max(1, round(found.reset_time - time.time()))
        raise HTTPException(
            429, f"too many tries; again in {again} seconds", headers={"Retry-After": str(again)}
        )
