"""The annotation service: the queue of jobs behind HTTP, for people who choose all day and for a lead who watches.

The engine knows no HTTP; `serve.annotation.http` gives it routes, `serve.annotation.deployment` a Ray Serve
replica. Standing alone it runs in one process, which suits SQLite; several replicas share a PostgreSQL.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from stickers.annotation import ordering, rounds
from stickers.annotation.kept import Verdict
from stickers.annotation.library import Library, plans_in
from stickers.annotation.overview import overview, trail
from stickers.annotation.settings import Settings
from stickers.annotation.store import people, seats
from stickers.annotation.store.people import Person, Session
from stickers.annotation.store.seats import Answer, Lease, Submission
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import Vote

T = TypeVar("T")
#: seconds for which a session and the settings are believed without another look
BELIEVED = 2.0
#: how many times as long as looking took nobody looks again: of the lead's page, and for survivors
REST = 10.0


@dataclass
class _Kept(Generic[T]):
    """Something that is not looked up again for a while."""

    value: T
    until: float


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How often one address or name may ask, in the notation of the `limits` library."""

    wrong_sign_ins: str = "20 per minute"
    password_tries: str = "10 per 15 minutes"
    requests: str = "1200 per minute"


class Annotation:
    """The service without HTTP. Methods that write give their answer once it is durable."""

    def __init__(self, votes: VoteStore) -> None:
        self.votes = votes
        self.library = Library.of(votes)
        self.sessions: dict[str, _Kept[Session]] = {}
        self.settings = _Kept(votes.read(rounds.read_settings), 0.0)
        self.summary: _Kept[dict[str, Any]] | None = None
        self.looked_for_survivors = 0.0
        self.looking = asyncio.Lock()

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.wrap_future(self.votes.write(work))

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.to_thread(self.votes.read, work)

    async def session(self, token: str) -> Session | None:
        """Whose cookie this is."""
        known = self.sessions.get(token)
        if known and known.until > time.monotonic():
            return known.value
        found = await self.read(lambda connection: people.find_session(connection, token))
        if len(self.sessions) > 10_000:
            self.sessions.clear()
        if found:
            self.sessions[token] = _Kept(found, time.monotonic() + BELIEVED)
        else:
            self.sessions.pop(token, None)
        return found

    async def sign_in(self, *, token: str = "", name: str = "", password: str = "") -> Session | None:
        """A session for whoever has the link or the password, or none."""
        person, hashed = await self.read(
            lambda connection: people.find_person(connection, token=token, name=name)
        )
        if not token and not await asyncio.to_thread(people.verify, hashed, password):
            person = None
        if person is None:
            return None
        found = person
        return await self.write(lambda connection: people.begin_session(connection, found))

    async def sign_out(self, token: str) -> None:
        self.sessions.pop(token, None)
        await self.write(lambda connection: people.end_session(connection, token))

    async def now(self) -> Settings:
        """The settings in force."""
        if self.settings.until < time.monotonic():
            value = await self.read(rounds.read_settings)
            self.settings = _Kept(value, time.monotonic() + BELIEVED)
        return self.settings.value

    async def next(self, person: Person, have: Collection[str]) -> Lease | None:
        """A job for a person; see `stickers.annotation.store.seats.take`."""
        now = await self.now()
        found = await self.write(lambda connection: seats.take(connection, person, now, have))
        later = any(number > 1 for number in now.rounds_of(person.role))
        if found is None and later and not now.paused:
            await self._look_for_survivors()
            found = await self.write(lambda connection: seats.take(connection, person, now, have))
        return found

    async def _look_for_survivors(self) -> None:
        """Put clips that have survived a round into the queue of the next one."""
        async with self.looking:
            if self.looked_for_survivors > time.monotonic():
                return
            started = time.monotonic()
            candidates = (await self.shelves()).candidates
            made = await self.write(lambda connection: rounds.advance(connection, candidates))
            took = time.monotonic() - started
            self.looked_for_survivors = time.monotonic() + (0.0 if made else REST * took)

    async def give(
        self, person: Person, job_id: str, answer: Answer, have: Collection[str]
    ) -> tuple[Vote, Lease | None]:
        """Take an answer, and give the next job, both in one durable step."""
        wish = Submission(person=person, settings=await self.now(), job_id=job_id, answer=answer, have=have)
        vote, lease = await asyncio.wrap_future(self.votes.write_along(seats.submit, wish))
        if lease is None:
            lease = await self.next(person, have)
        return vote, lease

    async def skip(self, person: Person, job_id: str, reason: str, have: Collection[str]) -> Lease | None:
        await self.write(lambda connection: seats.skip(connection, person, job_id, reason))
        return await self.next(person, have)

    async def ruling(self, lead: Person, have: Collection[str]) -> tuple[Lease, Mapping[str, Verdict]] | None:
        candidates = (await self.shelves()).candidates
        return await self.write(lambda connection: rounds.next_ruling(connection, lead, candidates, have))

    async def clip(self, digest: str) -> bytes | None:
        """A strip by its digest."""
        found = await asyncio.to_thread(self.library.clip, digest)
        return found if found is not None else await asyncio.to_thread((await self.shelves()).clip, digest)

    async def shelves(self) -> Library:
        """The library, with plans that have joined the queue since."""
        if await self.read(plans_in) != self.library.uris:
            self.library = await asyncio.to_thread(Library.of, self.votes)
        return self.library

    async def overview(self) -> dict[str, Any]:
        """What the lead's page shows; looked up again no more often than looking takes."""
        async with self.looking:
            if self.summary is None or self.summary.until < time.monotonic():
                started, candidates = time.monotonic(), (await self.shelves()).candidates
                value = await self.read(lambda connection: overview(connection, candidates))
                took = time.monotonic() - started
                self.summary = _Kept(value, time.monotonic() + min(60.0, REST * took))
            return self.summary.value

    async def lead(self, work: Callable[[Connection], T]) -> T:
        """Do what a lead asks for, and see it at once."""
        found = await self.write(work)
        self.sessions.clear()
        self.summary, self.settings.until = None, 0.0
        self.looked_for_survivors = 0.0
        return found

    async def change(self, values: Mapping[str, Any], lead: Person) -> Settings:
        """Let other settings be in force, and the queue be in the order that they ask for."""
        before, candidates = await self.now(), (await self.shelves()).candidates

        def both(connection: Connection) -> Settings:
            after = rounds.change_settings(connection, values, lead.name)
            if (after.ordering, after.audit_share) != (before.ordering, before.audit_share):
                ordering.arrange(connection, candidates, lead.name)
            return after

        return await self.lead(both)

    async def trail(self, most: int) -> list[dict[str, Any]]:
        return await self.read(lambda connection: trail(connection, most))
