"""A choice is a person's, is never changed, and holds only for the teachers as they were."""

from dataclasses import replace
from pathlib import Path

import pytest

from stickers import storage
from stickers.evaluation.choice import Choice, Origin, choice_of, current_choice, record_choice

FINISHED = {
    "calm": Origin(record="calm-1", checkpoint="aaa"),
    "lively": Origin(record="lively-1", checkpoint="bbb"),
    "spare": Origin(record="spare-1", checkpoint="ccc"),
}
CHOICE = Choice(
    project="tiny",
    teachers={name: FINISHED[name] for name in ("calm", "lively")},
    by="Ana",
    because="they run and they wave",
    evidence="0123456789ab",
    simulated=True,
)


def test_it_is_recorded_once_and_stands_for_its_project(tmp_path: Path) -> None:
    runs = str(tmp_path)
    assert current_choice(runs, "tiny") is None
    artifact = record_choice(runs, CHOICE)
    before = (tmp_path / "choices" / artifact.folder / "record.json").read_bytes()
    assert record_choice(runs, CHOICE).uri == artifact.uri
    assert (tmp_path / "choices" / artifact.folder / "record.json").read_bytes() == before
    standing = current_choice(runs, "tiny")
    assert standing == replace(CHOICE, made_at=artifact.record["finished_at"]) == choice_of(artifact)
    assert "Ana chose calm, lively on 20" in standing.sentence and "they run" in standing.sentence
    assert current_choice(runs, "full") is None


def test_another_choice_stands_beside_the_old(tmp_path: Path) -> None:
    runs = str(tmp_path)
    first = record_choice(runs, CHOICE)
    for change in ({"by": "Ben"}, {"because": "else"}, {"evidence": "other"}, {"teachers": FINISHED}):
        assert record_choice(runs, replace(CHOICE, **change)).uri != first.uri
    assert len(storage.find_records(runs, "choices")) == 5
    assert set(current_choice(runs, "tiny").teachers) == set(FINISHED)
    record_choice(runs, CHOICE)
    assert set(current_choice(runs, "tiny").teachers) == {"calm", "lively"}


@pytest.mark.parametrize("field", ["by", "because", "teachers"])
def test_half_a_choice_is_refused(field: str, tmp_path: Path) -> None:
    empty = {} if field == "teachers" else ""
    with pytest.raises(ValueError, match=f"a choice needs '{field}', which is empty"):
        record_choice(str(tmp_path), replace(CHOICE, **{field: empty}))
    assert not (tmp_path / "choices").exists()


def test_unknown_and_retrained_teachers_are_refused() -> None:
    CHOICE.check(FINISHED)
    with pytest.raises(ValueError, match="'lively', which is not finished; finished are: calm, spare"):
        CHOICE.check({name: FINISHED[name] for name in ("calm", "spare")})
    for now in (Origin(record="calm-2", checkpoint="ddd"), Origin(record="calm-1", checkpoint="ddd")):
        with pytest.raises(ValueError, match="'calm' as it was in calm-1 .* it is now .*ddd"):
            CHOICE.check({**FINISHED, "calm": now})
