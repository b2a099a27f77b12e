"""Finds, isolates and gives up rows that kill their process, such as a row that exhausts its memory.

A dead process cannot report its cause of death, and its successor gets the same rows again, without end. So a note is
written to storage before rows are tried and removed afterwards. Rows whose notes have outlived several processes are
tried in halves, until the row that kills is alone.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import uuid4

from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import PlanRow

#: deaths over the same rows after which they are split, or a single one given up
DEATHS = 2
Result = TypeVar("Result")


class Isolation:
    """Tries rows under notes, which are files below `notes`, named by a hash of their rows."""

    def __init__(self, notes: str, deaths: int = DEATHS) -> None:
        self.notes, self.deaths = notes, deaths

    def run(
        self,
        rows: Sequence[PlanRow],
        make: Callable[[list[PlanRow]], list[Result]],
        give_up: Callable[[PlanRow, str], Result],
    ) -> list[Result]:
        """The results of `make` for the rows, in order, and of `give_up(row, reason)` for rows that kill."""
        died = Counter(note.rsplit("/", 1)[1].partition("-")[0] for note in storage.listing(self.notes))
        results: list[Result] = []
        for part in self._parts(list(rows), died):
            if len(part) == 1 and died[_name(part)] >= self.deaths:
                results.append(give_up(part[0], f"its process died {died[_name(part)]} times over it alone"))
            else:
                results += self._noted(part, make)
        return results

    def _parts(self, rows: list[PlanRow], died: Counter[str]) -> list[list[PlanRow]]:
        """The rows in one part, or in several where too many processes have died over them."""
        alone = [died[_name([row])] >= self.deaths for row in rows]
        if len(rows) < 2 or not (any(alone) or died[_name(rows)] >= self.deaths):
            return [rows] if rows else []
        if any(alone):
            at = alone.index(True)
            return [*self._parts(rows[:at], died), [rows[at]], *self._parts(rows[at + 1 :], died)]
        half = len(rows) // 2
        return [*self._parts(rows[:half], died), *self._parts(rows[half:], died)]

    def _noted(self, rows: list[PlanRow], make: Callable[[list[PlanRow]], list[Result]]) -> list[Result]:
        note = storage.join(self.notes, f"{_name(rows)}-{uuid4().hex}")
        storage.write_bytes(note, b"")
        try:
            return make(rows)
        finally:
            storage.remove(note)


def _name(rows: Sequence[PlanRow]) -> str:
    return content_id("tried", [row.candidate_id for row in rows])
