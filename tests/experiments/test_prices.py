"""What candidates cost, beside what people kept of them: on the screen and on a page."""

from pathlib import Path

import pytest

from experiments.prices import collect, judgement, main
from stickers import storage
from stickers.candidates.archive import Candidates
from stickers.errors import UserError
from tests.support.plans import finish_plan


def judge(runs: str, plan_id: str, name: str, kept: int) -> None:
    """A kept set's record: people kept so many of each cell's candidates."""
    candidates = Candidates(storage.join(runs, "plans", plan_id))
    buckets = {row.bucket for row in candidates}
    rates = [
        {
            "teacher": teacher,
            "bucket": bucket,
            "made": sum((row.teacher, row.bucket) == (teacher, bucket) for row in candidates),
            "kept": kept if teacher == "good" else 0,
        }
        for teacher in ("good", "lazy")
        for bucket in buckets
    ]
    record = {"plan_id": plan_id, "project": "tiny", "rates": rates, "simulated": True}
    storage.write_record(storage.join(runs, "kept", name), record)


def test_costs_are_told_before_and_after_anybody_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = str(tmp_path)
    with pytest.raises(UserError, match="holds no finished plan of project 'tiny'"):
        main(runs, "tiny")
    plan = finish_plan(tmp_path, 2)
    record = storage.find_record(runs, "plans")
    data = collect(runs, "tiny")
    assert judgement(runs, record) is None and not data.simulated
    assert sum(cell.made for cell in data.cells) == len(plan.rows) and not any(c.judged for c in data.cells)
    assert sum(cell.seconds for cell in data.cells) == pytest.approx(0.1 * len(plan.rows))
    judge(runs, plan.plan_id, "first", 0)
    judge(runs, plan.plan_id, "second", 1)
    judged = judgement(runs, record)
    assert judged is not None and judged["rates"][0]["kept"] == 1, "the last counts"
    data = collect(runs, "tiny", plan.plan_id)
    assert data.simulated and {cell.teacher for cell in data.cells if cell.kept} == {"good"}
    main(runs, "tiny")
    text, page = capsys.readouterr().out, (tmp_path / "spending.html").read_text()
    assert "simulated" in text and "page: " in text
    assert "good" in page and "lazy" in page and "simulated" in page


def test_what_is_judged_of_the_plan_before_counts_for_its_regeneration(tmp_path: Path) -> None:
    plan = finish_plan(tmp_path, 1)
    judge(str(tmp_path), plan.plan_id, "first", 1)
    later = storage.Artifact("later", {"plan_id": "later", "supersedes": plan.plan_id})
    judged = judgement(str(tmp_path), later)
    assert judged is not None and judged["plan_id"] == plan.plan_id
