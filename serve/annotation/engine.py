"""The annotation service without HTTP: the queue of jobs for people who choose all day and for a lead who watches.

`serve.annotation.http` adds the routes and `serve.annotation.deployment` a Ray Serve replica. One process suits SQLite;
several replicas share a PostgreSQL.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from stickers.annotation import ordering, rounds
from stickers.annotation.library import Library, plans_in
from stickers.annotation.overview import overview, trail
from stickers.annotation.rulings import next_ruling
from stickers.annotation.settings import Settings
from stickers.annotation.store import people, seats
from stickers.annotation.store.people import Person, Session
from stickers.annotation.store.seats import Answer, Lease, Submission
from stickers.annotation.store.votes import VoteStore
from stickers.annotation.tally import Verdict
from stickers.artifacts.records import Vote

T = TypeVar("T")
#: seconds for which a session and the settings are used without reading them again
CACHE_SECONDS = 2.0
#: the lead's page is computed, and survivors are looked for, at most for a tenth of the time
REST_FACTOR = 10.0
#: no page of a lead is older
LONGEST_REST = 60.0
#: sessions in the cache before it is emptied
MOST_SESSIONS = 10_000


@dataclass
class _Cached(Generic[T]):
    """A value that is not read again before the monotonic time `until`."""

    value: T
    until: float


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How often an address, a name or a session may try, in the notation of the `limits` library."""

    wrong_sign_ins: str = "20 per minute"
    password_tries: str = "10 per 15 minutes"
    requests: str = "1200 per minute"


class Annotation:
    """The service without HTTP. Methods that write return once the write is durable."""

    def __init__(self, store: VoteStore) -> None:
        self.store = store
        self.library = Library.of(store)
        self.sessions: dict[str, _Cached[Session]] = {}
        self.settings = _Cached(store.read(rounds.read_settings), 0.0)
        self.cached_overview: _Cached[dict[str, Any]] | None = None
        self.next_search = 0.0
        self.search_lock = asyncio.Lock()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that writes."""
        return await asyncio.wrap_future(self.store.write(work))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that only reads."""
        return await asyncio.to_thread(self.store.read, work)

    async def session(self, token: str) -> Session | None:
        """The session of a cookie, or None."""
        cached = self.sessions.get(token)
        if cached and cached.until > time.monotonic():
            return cached.value
        session = await self.read(lambda connection: people.find_session(connection, token))
        if len(self.sessions) > MOST_SESSIONS:
            self.sessions.clear()
        if session:
            self.sessions[token] = _Cached(session, time.monotonic() + CACHE_SECONDS)
        else:
            self.sessions.pop(token, None)
        return session

    async def sign_in(self, *, token: str = "", name: str = "", password: str = "") -> Session | None:
        """A session for the owner of the link or of name and password; None where they are wrong."""
        person, hashed = await self.read(
            lambda connection: people.find_person(connection, token=token, name=name)
        )
        if not token and not await asyncio.to_thread(people.verify, hashed, password):
            person = None
        if person is None:
            return None
        signed_in = person
        return await self.write(lambda connection: people.begin_session(connection, signed_in))

    async def sign_out(self, token: str) -> None:
        """End a session."""
        self.sessions.pop(token, None)
        await self.write(lambda connection: people.end_session(connection, token))

    async def current_settings(self) -> Settings:
        """The current settings."""
        if self.settings.until < time.monotonic():
            value = await self.read(rounds.read_settings)
            self.settings = _Cached(value, time.monotonic() + CACHE_SECONDS)
        return self.settings.value

    async def next(self, person: Person, have: Collection[str]) -> Lease | None:
        """The next job for a person; see `stickers.annotation.store.seats.take`."""
        settings = await self.current_settings()
        lease = await self.write(lambda connection: seats.take(connection, person, settings, have))
        waits_for_survivors = any(number > 1 for number in settings.rounds_of(person.role))
        if lease is None and waits_for_survivors and not settings.paused:
            await self._queue_survivors()
            lease = await self.write(lambda connection: seats.take(connection, person, settings, have))
        return lease

    async def _queue_survivors(self) -> None:
        """Queue the clips that survived a round for the next round."""
        async with self.search_lock:
            if self.next_search > time.monotonic():
                return
            started = time.monotonic()
            candidates = (await self.current_library()).candidates
            num_jobs = await self.write(lambda connection: rounds.advance(connection, candidates))
            seconds = time.monotonic() - started
            self.next_search = time.monotonic() + (0.0 if num_jobs else REST_FACTOR * seconds)

    async def give(
        self, person: Person, job_id: str, answer: Answer, have: Collection[str]
    ) -> tuple[Vote, Lease | None]:
        """Take an answer and give the next job, both in one transaction."""
        submission = Submission(
            person=person, settings=await self.current_settings(), job_id=job_id, answer=answer, have=have
        )
        vote, lease = await asyncio.wrap_future(self.store.write_along(seats.submit, submission))
        if lease is None:
            lease = await self.next(person, have)
        return vote, lease

    async def skip(self, person: Person, job_id: str, reason: str, have: Collection[str]) -> Lease | None:
        """Give a job back for good, and take the next."""
        await self.write(lambda connection: seats.skip(connection, person, job_id, reason))
        return await self.next(person, have)

    async def ruling(self, lead: Person, have: Collection[str]) -> tuple[Lease, Mapping[str, Verdict]] | None:
        """The next job of disputed clips for a lead, with the verdicts so far; or None."""
        candidates = (await self.current_library()).candidates
        return await self.write(lambda connection: next_ruling(connection, lead, candidates, have))

    async def clip(self, digest: str) -> bytes | None:
        """The strip with that digest, or None."""
        strip = await asyncio.to_thread(self.library.clip, digest)
        return (
            strip
            if strip is not None
            else await asyncio.to_thread((await self.current_library()).clip, digest)
        )

    async def current_library(self) -> Library:
        """The library, opened again where plans have joined the queue."""
        if await self.read(plans_in) != self.library.uris:
            self.library = await asyncio.to_thread(Library.of, self.store)
        return self.library

    async def overview(self) -> dict[str, Any]:
        """What the lead's page shows; the longer it takes to compute, the longer it is kept."""
        async with self.search_lock:
            if self.cached_overview is None or self.cached_overview.until < time.monotonic():
                started, candidates = time.monotonic(), (await self.current_library()).candidates
                value = await self.read(lambda connection: overview(connection, candidates))
                seconds = time.monotonic() - started
                self.cached_overview = _Cached(
                    value, time.monotonic() + min(LONGEST_REST, REST_FACTOR * seconds)
                )
            return self.cached_overview.value

    async def lead(self, work: Callable[[Connection], T]) -> T:
        """Run what a lead asks for, and forget everything cached, so that the effect shows at once."""
        result = await self.write(work)
        self.sessions.clear()
        self.cached_overview, self.settings.until = None, 0.0
        self.next_search = 0.0
        return result

    async def change(self, values: Mapping[str, Any], lead: Person) -> Settings:
        """Change the settings, and reorder the queue where they ask for it."""
        before, candidates = await self.current_settings(), (await self.current_library()).candidates

        def change_and_arrange(connection: Connection) -> Settings:
            after = rounds.change_settings(connection, values, lead.name)
            if (after.ordering, after.audit_share) != (before.ordering, before.audit_share):
                ordering.arrange(connection, candidates, lead.name)
            return after

        return await self.lead(change_and_arrange)

    async def trail(self, most: int) -> list[dict[str, Any]]:
        """The log of events, the latest first."""
        return await self.read(lambda connection: trail(connection, most))
