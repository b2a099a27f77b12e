"""A row that kills its process must cost a few processes, not all of them, and take no neighbour along."""

import multiprocessing
import os
import signal
from pathlib import Path

from stickers.artifacts.records import PlanRow
from stickers.candidates.isolation import DEATHS, Isolation

ROWS = [
    PlanRow(
        candidate_id=f"row-{number}",
        sticker_id="s",
        teacher="t",
        checkpoint="c",
        seed=0,
        prompt="p",
        bucket="action",
    )
    for number in range(8)
]


def make(notes: str, deadly: set[str], answers: "multiprocessing.Queue[list[str]]") -> None:
    """Make a batch as an actor does; a deadly row kills the process."""

    def one_by_one(rows: list[PlanRow]) -> list[str]:
        for row in rows:
            if row.candidate_id in deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        return [f"made {row.candidate_id}" for row in rows]

    answers.put(
        Isolation(notes).run(ROWS, one_by_one, lambda row, reason: f"gave up {row.candidate_id}: {reason}")
    )


def until_answered(notes: str, deadly: set[str]) -> tuple[list[str], int]:
    """Start processes, as a pool of actors does, until one comes to an end; its answer and how many died."""
    context = multiprocessing.get_context("fork")
    for died in range(40):
        answers: multiprocessing.Queue[list[str]] = context.Queue()
        process = context.Process(target=make, args=(notes, deadly, answers))
        process.start()
        process.join(timeout=300)
        if process.exitcode == 0:
            return answers.get(timeout=300), died
        assert process.exitcode == -signal.SIGKILL
    raise AssertionError("they die without end")


def test_harmless_rows_are_made_at_once_and_leave_nothing(tmp_path: Path) -> None:
    results, died = until_answered(str(tmp_path), set())
    assert results == [f"made {row.candidate_id}" for row in ROWS] and died == 0
    assert not list(tmp_path.iterdir())


def test_deadly_rows_are_found_and_the_others_made(tmp_path: Path) -> None:
    for number, deadly in enumerate([{"row-5"}, {"row-0", "row-7"}]):
        results, died = until_answered(str(tmp_path / str(number)), deadly)
        assert [text.startswith("gave up") for text in results] == [
            row.candidate_id in deadly for row in ROWS
        ]
        assert f"died {DEATHS} times" in next(text for text in results if text.startswith("gave up"))
        assert died <= len(deadly) * DEATHS * 4, "eight rows are halved three times"
        again, more = until_answered(str(tmp_path / str(number)), deadly)
        assert (again, more) == (results, 0), "what is known to be deadly is not tried again"


def test_an_error_is_no_death(tmp_path: Path) -> None:
    def fail(rows: list[PlanRow]) -> list[str]:
        raise ValueError("an error")

    for _ in range(DEATHS + 1):
        try:
            Isolation(str(tmp_path)).run(ROWS, fail, lambda row, reason: reason)
        except ValueError as error:
            assert str(error) == "an error"
    assert not list(tmp_path.iterdir())
