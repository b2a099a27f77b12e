"""What the withdrawal of a person's votes takes: votes, names in kept sets, and networks that learned from those."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import pyarrow as pa
from sqlalchemy import Connection

from stickers import storage
from stickers.annotation.forgetting import count_traces, forget
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import KEPT, VOTES
from stickers.artifacts.schema import without
from stickers.errors import UserError
from stickers.housekeeping.lineage import Lineage, Reference
from stickers.housekeeping.sticker_withdrawal import KEPT_TABLE
from stickers.housekeeping.withdrawal import (
    REMAINS,
    ROWS_REMOVED,
    Withdrawal,
    WithdrawalStep,
    learned_steps,
    marking,
    nothing,
)
from stickers.housekeeping.withdrawn import Policy, Request, person_digest

#: the columns of a kept set that name people
NAMING = ("accepted_by", "experts")


def withdraw_votes(
    runs: str, person: str, *, vote_stores: Sequence[str], reason: str = "", policy: Policy = "refuse"
) -> Withdrawal:
    """The withdrawal of a person's votes and of the person.

    Args:
        person: the name under which they signed in.
        vote_stores: URLs of the databases in which people choose.

    Raises:
        UserError: nothing in the runs folder or the databases names the person.
    """
    traces = _Person(runs, person, tuple(vote_stores))
    request = Request(subject="votes", reason=reason, policy=policy, person=person_digest(person))
    request = request.resumed(runs)
    steps = list(traces.steps(request))
    if not steps:
        raise UserError(f"nothing in {runs} and its vote stores names {person!r}")
    return Withdrawal(request=request, steps=steps)


@dataclass(frozen=True)
class _Person:
    """A person in a runs folder and its databases."""

    runs: str
    name: str
    vote_stores: tuple[str, ...]

    @cached_property
    def lineage(self) -> Lineage:
        return Lineage.of(self.runs)

    @property
    def pseudonym(self) -> str:
        """What stands for the person where others' doing names them."""
        return f"withdrawn-{person_digest(self.name)}"

    def steps(self, request: Request) -> Iterator[WithdrawalStep]:
        """Marks first, then kept sets, then the votes."""
        kept = self._kept
        yield from learned_steps(self.lineage, request, kept, kept)
        for reference in sorted(kept):
            yield self._kept_step(reference, request)
        for uri, count in self._snapshots.items():
            yield WithdrawalStep(
                kind="votes",
                artifact=uri.rsplit("/", 1)[1],
                effect=ROWS_REMOVED,
                detail=f"{count} votes of a frozen snapshot",
                act=partial(_drop_votes, uri, self.name),
            )
        yield from self._store_steps()
        yield from self._choice_steps()

    @cached_property
    def _snapshots(self) -> dict[str, int]:
        """Frozen snapshots with votes of the person, and how many."""
        counts = {}
        for uri in storage.listing(storage.join(self.runs, "votes")):
            names = storage.read_table(uri, VOTES, columns=["annotator"])["annotator"].to_pylist()
            if count := names.count(self.name):
                counts[uri] = count
        return counts

    @cached_property
    def _kept(self) -> dict[Reference, int]:
        """Kept sets that votes of the person went into, and how many of their clips name the person."""
        files = {uri.rsplit("/", 1)[1] for uri in self._snapshots}
        counts = {}
        for reference, artifact in self.lineage.artifacts.items():
            if reference.kind != "kept":
                continue
            table_uri = storage.join(artifact.uri, KEPT_TABLE)
            count = 0
            if storage.exists(table_uri):
                rows = storage.read_table(table_uri, KEPT, columns=list(NAMING)).to_pylist()
                count = sum(any(self.name in row[column] for column in NAMING) for row in rows)
            if count or artifact.record.get("votes") in files:
                counts[reference] = count
        return counts

    def _kept_step(self, reference: Reference, request: Request) -> WithdrawalStep:
        uri = self.lineage.artifacts[reference].uri
        table_uri = storage.join(uri, KEPT_TABLE)

        def rename() -> None:
            if storage.exists(table_uri):
                storage.rewrite_table(table_uri, lambda table: _renamed(table, self.name, self.pseudonym))

        return WithdrawalStep(
            kind="kept",
            artifact=reference.folder,
            effect=ROWS_REMOVED,
            detail=f"the name at {self._kept[reference]} clips; experiments/annotate.py keep counts without the votes",
            act=marking(uri, "kept", request, rename),
        )

    def _store_steps(self) -> Iterator[WithdrawalStep]:
        for url in self.vote_stores:
            with VoteStore(url) as store:
                counts = store.read(lambda connection: count_traces(connection, self.name))
            if any(counts.values()):
                yield WithdrawalStep(
                    kind="votes",
                    artifact=store.engine.url.render_as_string(),
                    effect=ROWS_REMOVED,
                    detail=f"{counts['votes']} votes, {counts['skips']} skipped jobs, and the person",
                    act=partial(_forget, url, self.name, self.pseudonym),
                )

    def _choice_steps(self) -> Iterator[WithdrawalStep]:
        for reference, artifact in self.lineage.artifacts.items():
            if reference.kind == "choices" and artifact.record["by"] == self.name:
                detail = "it names the person as who chose the teachers; remove it by hand if it must go"
                yield WithdrawalStep(
                    kind=reference.kind, artifact=reference.folder, effect=REMAINS, detail=detail, act=nothing
                )


def _drop_votes(uri: str, name: str) -> None:
    storage.rewrite_table(uri, lambda table: without(table, "annotator", [name]))


def _renamed(table: pa.Table, name: str, pseudonym: str) -> pa.Table:
    for column in NAMING:
        names = [
            [pseudonym if person == name else person for person in people]
            for people in table[column].to_pylist()
        ]
        field = table.schema.field(column)
        position = table.column_names.index(column)
        table = table.set_column(position, field, pa.array(names, field.type))
    return table


def _forget(url: str, name: str, pseudonym: str) -> None:
    def work(connection: Connection) -> None:
        forget(connection, name, pseudonym)

    with VoteStore(url) as store:
        store.write(work).result()
