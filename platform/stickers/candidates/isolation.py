"""Rows that kill their process, such as one that exhausts its memory: found, isolated and given up.

A process that dies cannot say what it died of, and whoever restarts it hands it the same rows again, without end. So
before rows are tried a note is left where it outlives the process, and taken away after. Rows under whose notes several
processes have died are tried by halves, until a row alone is left that does it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import uuid4

from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import PlanRow

#: processes that must die over the same rows before those are taken apart, or given up
DEATHS = 2
Made = TypeVar("Made")


class Isolation:
    """Notes lie below `place`, as files named by the rows that they are about."""

    def __init__(self, place: str, deaths: int = DEATHS) -> None:
        self.place, self.deaths = place, deaths

    def run(
        self,
        rows: Sequence[PlanRow],
        make: Callable[[list[PlanRow]], list[Made]],
        give_up: Callable[[PlanRow, str], Made],
    ) -> list[Made]:
        """What `make` gives for these rows, in order; `give_up(row, reason)` for those that kill their process."""
        died = Counter(each.rsplit("/", 1)[1].partition("-")[0] for each in storage.listing(self.place))
        found: list[Made] = []
        for part in self._parts(list(rows), died):
            if len(part) == 1 and died[_name(part)] >= self.deaths:
                found.append(give_up(part[0], f"its process died {died[_name(part)]} times over it alone"))
            else:
                found += self._noted(part, make)
        return found

    def _parts(self, rows: list[PlanRow], died: Counter[str]) -> list[list[PlanRow]]:
        """The rows as one part, or as several where too many have died over more."""
        alone = [died[_name([row])] >= self.deaths for row in rows]
        if len(rows) < 2 or not (any(alone) or died[_name(rows)] >= self.deaths):
            return [rows] if rows else []
        if any(alone):
            at = alone.index(True)
            return [*self._parts(rows[:at], died), [rows[at]], *self._parts(rows[at + 1 :], died)]
        half = len(rows) // 2
        return [*self._parts(rows[:half], died), *self._parts(rows[half:], died)]

    def _noted(self, rows: list[PlanRow], make: Callable[[list[PlanRow]], list[Made]]) -> list[Made]:
        note = storage.join(self.place, f"{_name(rows)}-{uuid4().hex}")
        storage.write_bytes(note, b"")
        try:
            return make(rows)
        finally:
            storage.remove(note)


def _name(rows: Sequence[PlanRow]) -> str:
    return content_id("tried", [row.candidate_id for row in rows])
