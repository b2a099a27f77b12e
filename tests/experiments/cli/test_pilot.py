"""The pilot by which teachers are chosen: its noise, its votes, and what its clips are worth."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from experiments.cli.pilot import MEASURED, choose_quality, measure_clips, pilot_plan, score, votes_on
from recipes.toy.projects import SMOKE
from stickers import storage
from stickers.annotation.jobs import build_jobs
from stickers.annotation.store.votes import freeze
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import FAILED, Candidate, Vote
from stickers.candidates.archive import Candidates
from stickers.candidates.plan import PlannedTeacher, make_plan
from stickers.errors import UserError
from stickers.evaluation.quality import ClipMeasures
from tests.support.choosing import answered
from tests.support.plans import finish_plan


@pytest.fixture
def candidates(tmp_path: Path) -> list[Candidate]:
    """The candidates of a finished plan below `tmp_path`."""
    finish_plan(tmp_path, 2)
    return list(Candidates(storage.find_record(str(tmp_path), "plans").uri))


def votes_of(candidates: list[Candidate], good: set[str]) -> list[Vote]:
    """One person's votes on all of them."""
    jobs = build_jobs(candidates, plan_id=candidates[0].plan_id, round_number=1)
    return [answered(job, "ann", good) for job in jobs]


def test_a_pilot_has_noise_of_its_own() -> None:
    stickers, teachers = SMOKE.stickers.stickers(), [PlannedTeacher("calm", "digest", {})]
    pilot = pilot_plan(SMOKE, stickers, teachers, num_seeds=3)
    plan = make_plan(stickers.prompts, stickers.stickers, teachers, SMOKE.seed)
    assert len(pilot.rows) == 3 * len(stickers.stickers)
    assert not {row.seed for row in pilot.rows} & {row.seed for row in plan.rows}


def test_votes_count_by_their_last_revision(candidates: list[Candidate], tmp_path: Path) -> None:
    runs, plan_id = str(tmp_path), candidates[0].plan_id
    first = votes_of(candidates, set())
    assert votes_on(runs, plan_id) == []
    freeze(first, runs)
    changed = [replace(first[0], revision=1, picks=first[0].shown[:1]), *first[1:]]
    freeze(changed, runs)
    votes = votes_on(runs, plan_id)
    assert len(votes) == len(first) and [vote.revision for vote in votes].count(1) == 1
    assert votes_on(runs, "another") == []


def test_clips_are_scored_by_the_best_that_is_known(candidates: list[Candidate]) -> None:
    truth, votes = SMOKE.evaluation.truth, votes_of(candidates, {candidates[0].candidate_id})
    assert choose_quality("auto", votes, candidates, truth).name == "votes"
    assert choose_quality("auto", [], candidates, truth).name == "truth"
    assert choose_quality("auto", [], candidates, None).name == "pixels"
    assert choose_quality("pixels", votes, candidates, truth).name == "pixels"
    with pytest.raises(UserError, match="there is no truth for these stickers"):
        choose_quality("truth", [], candidates, None)
    with pytest.raises(UserError, match="were shown to nobody yet"):
        choose_quality("votes", votes[:-1], candidates, truth)


def test_what_was_measured_is_read_and_counts(candidates: list[Candidate], tmp_path: Path) -> None:
    pilot = storage.find_record(str(tmp_path), "plans")
    folder = storage.join(str(tmp_path), "measured", content_id("measured", pilot.folder, "no truth")[:12])
    for sticker in {row.sticker_id for row in candidates}:
        rows = [
            {
                "sticker_id": sticker,
                "candidate_id": row.candidate_id,
                "clip_digest": row.clip_digest,
                "motion_size": 2.0 if row.teacher == "good" else 0.0,
                "consistency": 1.0,
                "truth_error": None,
            }
            for row in candidates
            if row.sticker_id == sticker
        ]
        table = pa.Table.from_pylist(rows, schema=MEASURED)
        storage.write_table(storage.join(folder, f"{sticker}-8.parquet"), table, MEASURED)
    broken = replace(candidates[0], candidate_id="broken", status=FAILED, clip=None, clip_digest=None)
    all_rows = [*candidates, broken]
    measured = measure_clips(str(tmp_path), pilot, all_rows, None, "nowhere")
    assert measured.keys() == {row.candidate_id for row in candidates}
    assert all(isinstance(row, ClipMeasures) for row in measured.values())
    rows_scored = score(all_rows, measured, choose_quality("pixels", [], all_rows, None), None)
    for candidate, scored in zip(all_rows, rows_scored, strict=True):
        assert (scored.candidate_id, scored.group) == (candidate.candidate_id, candidate.bucket)
        if candidate is broken:
            assert scored.quality == 0 and scored.speed is None and scored.consistency is None
        else:
            assert (scored.quality == 0.5) == (candidate.teacher == "good")
