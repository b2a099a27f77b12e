"""The clips that people are shown: every clip of every plan in the queue, found by its digest with one read."""

from collections.abc import Mapping
from functools import cached_property

from sqlalchemy import Connection, select

from stickers.annotation.store.database import plans, votes
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import Candidate
from stickers.candidates.archive import Candidates


class Library:
    """The finished plans in the queue, by id; `clip` returns any strip by its digest."""

    def __init__(self, uris: Mapping[str, str]) -> None:
        self.uris = dict(uris)
        self.archives = {plan_id: Candidates(uri) for plan_id, uri in self.uris.items()}

    @classmethod
    def of(cls, store: VoteStore) -> "Library":
        """The plans in a store's queue."""
        return cls(store.read(plans_in))

    @cached_property
    def candidates(self) -> dict[str, Candidate]:
        """Every made candidate by id, without its clip; one that two plans made is the later plan's."""
        return {
            row.candidate_id: row
            for archive in self.archives.values()
            for row in archive
            if row.clip_digest is not None
        }

    @cached_property
    def _sources(self) -> dict[str, tuple[Candidates, str]]:
        return {
            str(row.clip_digest): (archive, row.candidate_id)
            for archive in self.archives.values()
            for row in archive
            if row.clip_digest is not None
        }

    def clip(self, digest: str) -> bytes | None:
        """The strip with that digest, or None where no plan has it."""
        source = self._sources.get(digest)
        return source[0].clip(source[1]) if source else None


def plans_in(connection: Connection) -> dict[str, str]:
    """The URI of every plan in the queue, in the order in which they joined it."""
    query = select(plans.c.plan_id, plans.c.uri).order_by(plans.c.opened_at)
    return {row.plan_id: row.uri for row in connection.execute(query)}


def plans_people_work_on(connection: Connection) -> set[str]:
    """The ids of the plans in the queue, and of those that somebody has voted on."""
    queries = select(plans.c.plan_id), select(votes.c.plan_id).distinct()
    return {plan_id for query in queries for plan_id in connection.execute(query).scalars()}


def chain_of(connection: Connection, plan_id: str) -> list[str]:
    """A plan and the plans whose rows it replaces, through all regenerations: votes on any of them count for it."""
    query = select(plans.c.supersedes).where(plans.c.plan_id == plan_id)
    before = connection.execute(query).scalar()
    return [plan_id, *(chain_of(connection, before) if before else [])]
