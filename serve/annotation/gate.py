"""Who may do what: sign-in, sessions with their role and CSRF token, and limits on how often one may try."""

import asyncio
import time

from fastapi import Request
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.exceptions import HTTPException

from serve.annotation.engine import Annotation, Limits
from serve.annotation.forms import SignIn
from stickers.annotation.store.people import Session

COOKIE = "stickers_session"
#: passwords hashed at a time: each takes a tenth of a second and 64 MiB
HASHED_AT_ONCE = 2


class Gate:
    """Checks a request's session, role and CSRF token, and how often it comes."""

    def __init__(self, service: Annotation, limits: Limits) -> None:
        self.service = service
        self.counter = FixedWindowRateLimiter(MemoryStorage())
        self.wrong, self.tries, self.requests = (
            parse(rate) for rate in (limits.wrong_sign_ins, limits.password_tries, limits.requests)
        )
        self.hashing = asyncio.Semaphore(HASHED_AT_ONCE)

    async def signed_in(self, request: Request) -> Session:
        """The session of a request; a request that changes something must carry the CSRF token."""
        token = request.cookies.get(COOKIE, "")
        session = await self.service.session(token) if token else None
        if session is None:
            raise HTTPException(401, "nobody is signed in; open your sign-in link")
        await self.limit(self.requests, "request", token)
        if request.method == "POST" and request.headers.get("x-csrf-token") != session.csrf:
            raise HTTPException(403, "the request does not carry this session's token; reload the page")
        return session

    async def leading(self, request: Request) -> Session:
        """The session of a lead's request."""
        session = await self.signed_in(request)
        if session.person.role != "lead":
            raise HTTPException(403, "only a lead may do this")
        return session

    async def sign_in(self, body: SignIn, address: str) -> Session:
        """A session for a link or a password, with too few tries for guessing."""
        if not body.token and not (body.name and body.password):
            raise HTTPException(422, "a sign-in has a token, or a name and a password")
        await self.check(self.wrong, "wrong", address)
        if body.token:
            session = await self.service.sign_in(token=body.token)
        else:
            await self.limit(self.tries, "password", body.name)
            async with self.hashing:
                await self.check(self.wrong, "wrong", address)
                session = await self.service.sign_in(name=body.name, password=body.password)
        if session is None:
            await self.counter.hit(self.wrong, "wrong", address)
            raise HTTPException(401, "this sign-in is wrong or no longer valid; ask your lead for a link")
        return session

    async def limit(self, rate: RateLimitItem, action: str, who: str) -> None:
        """Count a try and refuse it where there were too many."""
        if not await self.counter.hit(rate, action, who):
            await self._refuse(rate, action, who)

    async def check(self, rate: RateLimitItem, action: str, who: str) -> None:
        """Refuse where there were too many tries, without counting this one."""
        if not await self.counter.test(rate, action, who):
            await self._refuse(rate, action, who)

    async def _refuse(self, rate: RateLimitItem, action: str, who: str) -> None:
        window = await self.counter.get_window_stats(rate, action, who)
        retry_seconds = max(1, round(window.reset_time - time.time()))
        raise HTTPException(
            429,
            f"too many tries; try again in {retry_seconds} seconds",
            headers={"Retry-After": str(retry_seconds)},
        )
