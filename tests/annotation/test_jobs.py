"""What each job shows: every clip once, mixed teachers and pictures, and nothing by which to tell a teacher."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise, permutations

import pytest

from stickers.annotation.jobs import build_jobs, mixed
from tests.support.clips import ROWS, candidate


def test_every_clip_is_in_one_job_and_jobs_are_full() -> None:
    failed = replace(ROWS[0], candidate_id="failed", status="failed", clip=None, clip_digest=None)
    jobs = build_jobs([*ROWS, failed], plan_id="p", round_number=1)
    assert sorted(name for job in jobs for name in job.candidates) == sorted(row.candidate_id for row in ROWS)
    assert [len(job.candidates) for job in jobs] == [6, 6, 6, 6]
    assert jobs == build_jobs(ROWS[::-1], plan_id="p", round_number=1)
    assert {job.job_id for job in jobs}.isdisjoint(
        job.job_id for job in build_jobs(ROWS, plan_id="p", round_number=2)
    )
    assert jobs[0].prompts == ("a cat",) * 6 and jobs[1].prompts == ("a cat",) * 2 + ("a dog",) * 4


def test_a_job_mixes_pictures_and_teachers() -> None:
    first = mixed([row for row in ROWS if row.prompt == "a cat"])[:6]
    assert max(Counter(row.teacher for row in first).values()) == 2
    assert Counter(row.sticker_id for row in first) == {"a cat/0": 3, "a cat/1": 3}
    assert all(a.teacher != b.teacher for a, b in pairwise(first))


def test_checks_order_jobs_and_drop_nothing() -> None:
    wrong = {row.candidate_id for row in ROWS[::4]}
    rows = [replace(row, frozen=row.candidate_id in wrong) for row in ROWS]
    jobs = build_jobs(rows, plan_id="p", round_number=1)
    assert sorted(name for job in jobs for name in job.candidates) == sorted(row.candidate_id for row in ROWS)
    counts = [len(wrong & set(job.candidates)) for job in jobs]
    assert counts == sorted(counts) and counts[0] < counts[-1], "plain jobs first"


def test_useless_jobs_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 clip"):
        build_jobs(ROWS, plan_id="p", round_number=1, clips_per_job=0)
    with pytest.raises(ValueError, match="no made candidate"):
        build_jobs([], plan_id="p", round_number=1)


def test_teachers_names_change_no_byte_of_a_job() -> None:
    plain = build_jobs(ROWS, plan_id="p", round_number=1)
    for names in list(permutations("wxyz"))[1::5]:
        other = dict(zip("wxyz", names, strict=True))
        renamed = [replace(row, teacher=other[row.teacher]) for row in ROWS]
        assert build_jobs(renamed, plan_id="p", round_number=1) == plain


def test_stratified_jobs_show_clips_that_move_alike() -> None:
    rows = [candidate("a cat", i, t, motion=10.0 * i + n) for i in (0, 1) for n, t in enumerate("uvwxyz")]
    scores = {row.candidate_id: row.motion_score or 0.0 for row in rows}
    first, second = build_jobs(rows, plan_id="p", round_number=1, policy="stratified")
    assert max(map(scores.__getitem__, first.candidates)) < min(map(scores.__getitem__, second.candidates))
    motions = [scores[name] for name in build_jobs(rows, plan_id="p", round_number=1)[0].candidates]
    assert max(motions) - min(motions) > 5, "a mixed job has both"
