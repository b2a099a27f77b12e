"""A withdrawal is its steps: run in order, noted first, recorded last."""

from pathlib import Path

import pytest

from stickers import storage
from stickers.housekeeping.lineage import Lineage, Reference
from stickers.housekeeping.withdrawal import (
    LEARNED,
    REMOVED,
    Withdrawal,
    WithdrawalStep,
    carry_out,
    learned_steps,
    marking,
    nothing,
    page_steps,
    remove_all,
    remove_data,
)
from stickers.housekeeping.withdrawn import Request, Withdrawn, requests_in, warning_of
from tests.support.old_runs import DISTILLED, EXPORTED, STUDENT, copy_runs

REQUEST = Request(subject="votes", person="p", policy="warn", reason="asked")


def test_steps_run_in_order_and_the_record_comes_last(tmp_path: Path) -> None:
    runs, seen = str(tmp_path), []

    def look(name: str) -> None:
        seen.append(
            (name, bool(Withdrawn.of(runs).people), storage.exists(f"{REQUEST.folder(runs)}/record.json"))
        )

    steps = [
        WithdrawalStep(kind="students", artifact="s", effect=LEARNED, detail="", act=lambda: look("first")),
        WithdrawalStep(
            kind="page", artifact="report.html", effect=REMOVED, detail="a page", act=lambda: look("second")
        ),
    ]
    folder = carry_out(runs, Withdrawal(request=REQUEST, steps=steps), steps)
    assert seen == [("first", True, False), ("second", True, False)]
    record = storage.read_record(folder)
    assert record["steps"][1] == {
        "kind": "page",
        "artifact": "report.html",
        "effect": "removed",
        "detail": "a page",
    }
    assert record["reason"] == "asked" and requests_in(runs)[0].learned == ("students/s",)


def test_a_step_that_fails_leaves_the_request_and_no_record(tmp_path: Path) -> None:
    runs = str(tmp_path)
    steps = [WithdrawalStep(kind="", artifact="", effect=REMOVED, detail="", act=lambda: 1 / 0)]
    with pytest.raises(ZeroDivisionError):
        carry_out(runs, Withdrawal(request=REQUEST, steps=steps), steps)
    assert Withdrawn.of(runs).people == {"p"}
    assert not storage.exists(storage.join(REQUEST.folder(runs), storage.RECORD))


def test_marks_follow_the_chain_and_what_was_noted_before(tmp_path: Path) -> None:
    runs = copy_runs(tmp_path)
    lineage = Lineage.of(str(runs))
    student = Reference(*STUDENT.split("/"))
    steps = list(learned_steps(lineage, REQUEST, [student], [student]))
    assert [f"{step.kind}/{step.artifact}" for step in steps] == [DISTILLED, EXPORTED]
    noted = Request(subject="votes", person="p", policy="warn", learned=(STUDENT, "students/gone"))
    steps = list(learned_steps(lineage, noted, []))
    assert [f"{step.kind}/{step.artifact}" for step in steps] == [STUDENT]
    steps[0].act()
    assert "learned from votes" in warning_of(str(runs / STUDENT))


def test_data_go_and_record_and_mark_stay(tmp_path: Path) -> None:
    runs = copy_runs(tmp_path)
    folder = runs / STUDENT
    marking(str(folder), "students", REQUEST, lambda: remove_data(str(folder)))()
    assert {path.name for path in folder.iterdir()} == {storage.RECORD, "withdrawn.json"}
    remove_all([str(folder), str(folder), str(runs / "nowhere")])
    assert not folder.exists() and nothing() is None


def test_only_pages_that_are_there_are_named(tmp_path: Path) -> None:
    assert list(page_steps(str(tmp_path))) == []
    (tmp_path / "teachers.html").write_text("page")
    (step,) = page_steps(str(tmp_path))
    assert "experiments/select_teachers.py" in step.detail
    step.act()
    assert not (tmp_path / "teachers.html").exists()
