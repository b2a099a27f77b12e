"""The clips that people are shown: of every plan that joined the queue, each one read away and never searched for."""

from collections.abc import Mapping
from functools import cached_property

from sqlalchemy import Connection, select

from stickers.annotation.store.database import plans
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import Candidate
from stickers.candidates.archive import Candidates


class Library:
    """Finished plans by id, read once; `clip` gives any strip by its digest."""

    def __init__(self, uris: Mapping[str, str]) -> None:
        self.uris = dict(uris)
        self.shelves = {plan_id: Candidates(uri) for plan_id, uri in self.uris.items()}

    @classmethod
    def of(cls, votes: VoteStore) -> "Library":
        """Every plan that joined a store's queue."""
        return cls(votes.read(plans_in))

    @cached_property
    def candidates(self) -> dict[str, Candidate]:
        """Every made candidate by id, without its clip; of one that a later plan made again, the later one."""
        return {
            row.candidate_id: row
            for shelf in self.shelves.values()
            for row in shelf
            if row.clip_digest is not None
        }

    @cached_property
    def _places(self) -> dict[str, tuple[Candidates, str]]:
        return {
            str(row.clip_digest): (shelf, row.candidate_id)
            for shelf in self.shelves.values()
            for row in shelf
            if row.clip_digest is not None
        }

    def clip(self, digest: str) -> bytes | None:
        """The strip of that digest, or none: one read."""
        place = self._places.get(digest)
        return place[0].clip(place[1]) if place else None


def plans_in(connection: Connection) -> dict[str, str]:
    """The URI of every plan that joined the queue, the first one first."""
    query = select(plans.c.plan_id, plans.c.uri).order_by(plans.c.opened_at)
    return {row.plan_id: row.uri for row in connection.execute(query)}


def chain_of(connection: Connection, plan_id: str) -> list[str]:
    """A plan and those that it, through regenerations, replaces rows of: votes on any of them count for it."""
    query = select(plans.c.supersedes).where(plans.c.plan_id == plan_id)
    before = connection.execute(query).scalar()
    return [plan_id, *(chain_of(connection, before) if before else [])]
