"""Who is asked what, and what two rounds of answers keep."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from stickers.artifacts import Candidate, clip_digest, content_id
from stickers.hitl.jobs import build_jobs, mixed
from stickers.hitl.panel import Panel, Person, answer, shares
from stickers.hitl.selection import keep_rates, kept_rows, survivors


def candidate(prompt: str, picture: int, teacher: str, seed: int = 0) -> Candidate:
    strip = f"{prompt}{picture}{teacher}{seed}".encode()
    return Candidate(
        candidate_id=content_id(strip),
        sticker_id=f"{prompt}/{picture}",
        teacher=teacher,
        checkpoint="c",
        seed=seed,
        prompt=prompt,
        bucket="action",
        plan_id="plan",
        attempt=0,
        status="made",
        error="",
        clip=strip,
        clip_digest=clip_digest(strip),
        num_frames=8,
        fps=8,
        motion_score=1.0,
        seconds=0.1,
    )


ROWS = [candidate(p, i, t) for p in ("a cat", "a dog", "a fox") for i in (0, 1) for t in "wxyz"]
PERFECT = [Person(name=name, false_accept=0, false_reject=0) for name in ("ana", "ben", "cem", "expert")]
PANEL = Panel(annotators=tuple(PERFECT[:3]), expert=PERFECT[3], threshold=0.5)


def test_every_clip_is_in_one_job_and_jobs_are_full() -> None:
    failed = replace(ROWS[0], candidate_id="failed", status="failed", clip=None, clip_digest=None)
    jobs = build_jobs([*ROWS, failed], plan_id="p", round=1)
    assert sorted(each for job in jobs for each in job.candidates) == sorted(row.candidate_id for row in ROWS)
    assert [len(job.candidates) for job in jobs] == [6, 6, 6, 6]
    assert jobs == build_jobs(ROWS[::-1], plan_id="p", round=1)
    assert {job.job_id for job in jobs}.isdisjoint(
        job.job_id for job in build_jobs(ROWS, plan_id="p", round=2)
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
    jobs = build_jobs(rows, plan_id="p", round=1)
    assert sorted(name for job in jobs for name in job.candidates) == sorted(row.candidate_id for row in ROWS)
    counts = [len(wrong & set(job.candidates)) for job in jobs]
    assert counts == sorted(counts) and counts[0] < counts[-1], "plain jobs first"


def test_useless_jobs_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 clip"):
        build_jobs(ROWS, plan_id="p", round=1, clips_per_job=0)
    with pytest.raises(ValueError, match="no made candidate"):
        build_jobs([], plan_id="p", round=1)


def test_two_of_three_and_then_the_expert() -> None:
    good, two, one, vetoed = (row.candidate_id for row in ROWS[:4])
    picks = {
        "ana": {good, two, one, vetoed},
        "ben": {good, two, vetoed},
        "cem": {good},
        "expert": {good, two, one},
    }
    votes = []
    for person in PERFECT:
        round = 2 if person.name == "expert" else 1
        for job in build_jobs(ROWS, plan_id="p", round=round):
            seen = answer(job, person, dict.fromkeys(job.digests, 1.0), PANEL, turn=0)
            votes.append(
                replace(seen, annotator=person.name, picks=[c for c in seen.shown if c in picks[person.name]])
            )
    assert {r.candidate_id for r in survivors(ROWS, votes, round=1, quorum=2)} == {good, two, vetoed}
    kept = kept_rows(ROWS, votes)
    assert {row.candidate_id for row in kept} == {good, two}
    lineage = next(row for row in kept if row.candidate_id == two)
    assert lineage.accepted_by == ["ana", "ben"] and lineage.experts == ["expert"] and len(lineage.jobs) == 2
    assert lineage.simulated
    assert sum(int(row["kept"]) for row in keep_rates(ROWS, kept)) == 2
    redone = [replace(row, clip_digest="another clip") for row in ROWS]
    assert kept_rows(redone, votes) == [], "votes were counted for a clip that nobody judged"


def test_people_err_at_their_stated_rates_and_repeatably() -> None:
    person = Person(name="ana", false_accept=0.2, false_reject=0.1)
    digests = [content_id("clip", i) for i in range(4000)]
    accepted = [shares(person, digest, 0.9, PANEL, round=1) for digest in digests]
    rejected = [not shares(person, digest, 0.1, PANEL, round=1) for digest in digests]
    assert abs(sum(accepted) / 4000 - 0.2) < 0.025 and abs(sum(rejected) / 4000 - 0.1) < 0.02
    assert accepted == [shares(person, digest, 0.9, PANEL, round=1) for digest in digests]
    other = replace(person, name="ben")
    assert accepted != [shares(other, digest, 0.9, PANEL, round=1) for digest in digests]


def test_another_panel_is_other_people() -> None:
    assert set(PANEL.signatures()).isdisjoint(replace(PANEL, threshold=0.6).signatures())
    assert len(set(Panel().signatures())) == 4
