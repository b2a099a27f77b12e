"""Who is asked what, and what two rounds of answers keep."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise, permutations

import pytest

from stickers.annotation.jobs import Job, build_jobs, mixed
from stickers.annotation.kept import keep_rates, kept_rows, survivors, verdicts
from stickers.annotation.settings import RoundSettings, Settings
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import Vote
from stickers.toy.panel import Panel, Rater, shares
from tests.support.clips import ROWS, candidate

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


PERFECT = [Rater(name=name, false_accept=0, false_reject=0) for name in ("ana", "ben", "cem", "expert")]
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


def test_teachers_names_change_no_byte_of_a_job() -> None:
    plain = build_jobs(ROWS, plan_id="p", round=1)
    for names in list(permutations("wxyz"))[1::5]:
        other = dict(zip("wxyz", names, strict=True))
        renamed = [replace(row, teacher=other[row.teacher]) for row in ROWS]
        assert build_jobs(renamed, plan_id="p", round=1) == plain


def test_stratified_jobs_show_clips_that_move_alike() -> None:
    rows = [candidate("a cat", i, t, motion=10.0 * i + n) for i in (0, 1) for n, t in enumerate("uvwxyz")]
    scores = {row.candidate_id: row.motion_score or 0.0 for row in rows}
    first, second = build_jobs(rows, plan_id="p", round=1, policy="stratified")
    assert max(map(scores.__getitem__, first.candidates)) < min(map(scores.__getitem__, second.candidates))
    motions = [scores[name] for name in build_jobs(rows, plan_id="p", round=1)[0].candidates]
    assert max(motions) - min(motions) > 5, "a mixed job has both"


def answered(job: Job, person: str, picks: set[str], **more: object) -> Vote:
    values = {
        "job_id": job.job_id,
        "annotator": person,
        "round": job.round,
        "plan_id": job.plan_id,
        "shown": list(job.candidates),
        "shown_digests": list(job.digests),
        "picks": [name for name in job.candidates if name in picks],
        "started_at": NOON,
        "submitted_at": NOON,
        "simulated": True,
        "kind": job.kind,
    }
    return Vote(**(values | more))  # type: ignore[arg-type]


def cast(said: dict[str, set[str]], expert: set[str]) -> list[Vote]:
    """Votes of the annotators on all clips, and of one expert."""
    return [
        answered(job, person, picks)
        for round, people in ((1, said), (2, {"expert": expert}))
        for job in build_jobs(ROWS, plan_id="p", round=round)
        for person, picks in people.items()
    ]


def test_two_of_three_and_then_the_expert() -> None:
    good, two, one, vetoed = (row.candidate_id for row in ROWS[:4])
    said = {"ana": {good, two, one, vetoed}, "ben": {good, two, vetoed}, "cem": {good}}
    votes = cast(said, {good, two, one})
    now = Settings()
    assert {r.candidate_id for r in survivors(ROWS, votes, now, rounds=1)} == {good, two, vetoed}
    kept = kept_rows(ROWS, votes, now)
    assert {row.candidate_id for row in kept} == {good, two}
    lineage = next(row for row in kept if row.candidate_id == two)
    assert lineage.accepted_by == ["ana", "ben"] and lineage.experts == ["expert"] and len(lineage.jobs) == 2
    assert lineage.simulated
    assert sum(int(row["kept"]) for row in keep_rates(ROWS, kept)) == 2
    redone = [replace(row, clip_digest="another clip") for row in ROWS]
    assert kept_rows(redone, votes, now) == [], "votes were counted for a clip that nobody judged"


def test_numbers_change_midway_and_no_vote_is_lost() -> None:
    good, two, one, _ = (row.candidate_id for row in ROWS[:4])
    votes = cast({"ana": {good, two, one}, "ben": {good, two}, "cem": {good}}, {good, two, one})

    def kept(people: int, quorum: int, *, rounds: int = 2) -> set[str]:
        first = RoundSettings(role="annotator", people=people, quorum=quorum)
        expert = RoundSettings(role="expert", people=1, quorum=1)
        now = Settings(rounds=(first, expert)[:rounds])
        return {row.candidate_id for row in kept_rows(ROWS, votes, now)}

    assert kept(3, 1) == {good, two, one} and kept(3, 2) == {good, two} and kept(3, 3) == {good}
    assert kept(4, 2) == set(), "a fourth person has not judged yet"
    assert kept(2, 2) == {good, two} and kept(3, 3, rounds=1) == {good}


def test_a_flag_waits_for_a_lead_and_a_lead_decides() -> None:
    good, two, one, other = (row.candidate_id for row in ROWS[:4])
    votes = cast({name: {good, two} for name in ("ana", "ben")}, {good, two, one, other})
    for job in build_jobs(ROWS, plan_id="p", round=1):
        flagged = [name for name in job.candidates if name == two]
        votes.append(answered(job, "cem", {good}, flagged=flagged, flags=["unsafe"] * len(flagged)))
    now = Settings()
    assert {row.candidate_id for row in kept_rows(ROWS, votes, now)} == {good}
    said = {clip[0]: each for clip, each in verdicts(votes, 1, now.rounds[0]).items()}
    assert (
        said[two].disputed
        and said[two].yes == 2
        and said[two].flags == ("unsafe",)
        and not said[one].disputed
    )
    ruling = build_jobs(ROWS[:4], plan_id="p", round=1, kind="ruling")[0]
    votes.append(answered(ruling, "lea", {two, one}))
    kept = {row.candidate_id: row for row in kept_rows(ROWS, votes, now)}
    assert set(kept) == {two, one} and kept[one].experts == ["lea", "expert"] and kept[one].accepted_by == []


def test_people_err_at_their_stated_rates_and_repeatably() -> None:
    person = Rater(name="ana", false_accept=0.2, false_reject=0.1)
    digests = [content_id("clip", i) for i in range(4000)]
    accepted = [shares(person, digest, 0.9, PANEL, round=1) for digest in digests]
    rejected = [not shares(person, digest, 0.1, PANEL, round=1) for digest in digests]
    assert abs(sum(accepted) / 4000 - 0.2) < 0.025 and abs(sum(rejected) / 4000 - 0.1) < 0.02
    assert accepted == [shares(person, digest, 0.9, PANEL, round=1) for digest in digests]
    other = replace(person, name="ben")
    assert accepted != [shares(other, digest, 0.9, PANEL, round=1) for digest in digests]


def test_another_panel_is_other_people() -> None:
    assert set(PANEL.roles()).isdisjoint(replace(PANEL, threshold=0.6).roles())
    assert len(Panel().roles()) == 4
