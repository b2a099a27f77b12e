"""The order may be wrong, the estimate of what it misses may not; and nothing that was to be blind may see."""

from dataclasses import replace

import numpy as np
import pytest

from stickers.annotation.jobs import Job
from stickers.annotation.ranking import FEWEST_CLIPS, Missed, Queue, fit, missed, order
from stickers.artifacts.records import Candidate
from tests.support.candidates import make_candidate

RNG = np.random.default_rng(7)


def candidate(number: int, liked: float) -> Candidate:
    """A clip that people like the more, the more of it moves and the less of that is taken back."""
    return make_candidate(
        str(number).encode(),
        candidate_id=f"c{number:04}",
        teacher=f"teacher {number % 4}",
        seed=number,
        prompt=f"prompt {number // 8}",
        clip=None,
        num_frames=8 - number % 4,
        fps=4 + number % 4,
        motion_score=5 + float(RNG.normal()),
        moving=liked,
        reversal=0.5 - 0.4 * liked + 0.05 * float(RNG.normal()),
        pulse=float(RNG.random()),
        border=0.0,
        saturated=0.0,
        visible=0.4,
    )


LIKED = RNG.random(400)
CLIPS = [candidate(number, float(liked)) for number, liked in enumerate(LIKED)]
KEPT = {row.candidate_id: bool(RNG.random() < liked**3) for row, liked in zip(CLIPS, LIKED, strict=True)}


def test_it_learns_what_people_like_of_prompts_it_has_not_seen() -> None:
    ranker, reason = fit(CLIPS, KEPT)
    assert ranker is not None and reason == ""
    assert ranker.trained_on == 400 and 0.75 < ranker.auc < 1
    fresh = [candidate(1000 + number, liked) for number, liked in enumerate(np.linspace(0, 1, 50))]
    scores = ranker.scores(fresh)
    assert np.corrcoef(list(scores.values()), np.linspace(0, 1, 50))[0, 1] > 0.8
    assert fit(CLIPS, KEPT)[0].auc == ranker.auc, "the same votes give the same model"  # type: ignore[union-attr]


def test_it_finds_nothing_where_nothing_is() -> None:
    ranker, _ = fit(CLIPS, {row.candidate_id: bool(RNG.random() < 0.4) for row in CLIPS})
    assert ranker is not None and 0.35 < ranker.auc < 0.65


def test_it_does_not_see_teacher_prompt_or_frame_rate() -> None:
    ranker, _ = fit(CLIPS, KEPT)
    assert ranker is not None
    other = [
        replace(
            row,
            teacher="x",
            checkpoint="y",
            prompt="z",
            sticker_id="q",
            seed=1,
            fps=30,
            num_frames=1,
            device="d",
        )
        for row in CLIPS
    ]
    assert ranker.scores(other) == ranker.scores(CLIPS)


def test_it_refuses_to_learn_of_too_little() -> None:
    few = dict(list(KEPT.items())[: FEWEST_CLIPS - 1])
    for kept, part in (
        ({}, "200 clips that people have decided about, there are 0"),
        (few, "there are 199"),
        (dict.fromkeys(KEPT, False), "20 clips that people kept, there are 0"),
        (dict.fromkeys(KEPT, True), "20 clips that people rejected, there are 0"),
    ):
        ranker, reason = fit(CLIPS, kept)
        assert ranker is None and part in reason
    ranker, reason = fit([replace(row, prompt="one") for row in CLIPS], KEPT)
    assert ranker is None and "10 prompts with a decision, there are 1" in reason
    unmeasured = [replace(row, pulse=None) for row in CLIPS]
    assert fit(unmeasured, KEPT)[0] is None
    ranker_of_all, _ = fit(CLIPS, KEPT)
    assert (
        ranker_of_all is not None
        and ranker_of_all.scores(unmeasured) == {}
        and ranker_of_all.scores([]) == {}
    )


def jobs_of(count: int, clips: int = 6) -> list[Job]:
    return [
        Job(
            job_id=f"j{number:04}",
            plan_id="plan",
            round=1,
            candidates=tuple(f"{number}-{i}" for i in range(clips)),
            digests=("d",) * clips,
            prompts=("p",) * clips,
            frames=(8,) * clips,
            fps=(8,) * clips,
        )
        for number in range(count)
    ]


JOBS = jobs_of(240)
WORTH = RNG.beta(0.5, 4, 240)
SCORES = {name: float(worth) for job, worth in zip(JOBS, WORTH, strict=True) for name in job.candidates}
#: keepers by job: a job's clips share their luck, and the model is only partly right
TRUTH = {
    job.job_id: int(RNG.binomial(6, 0.7 * worth + 0.3 * RNG.beta(0.5, 4)))
    for job, worth in zip(JOBS, WORTH, strict=True)
}


def test_every_job_stands_once_and_likely_keepers_first() -> None:
    for count, share in ((240, 0.1), (7, 0.5), (1, 0.1), (5, 1.0), (0, 0.1)):
        jobs = JOBS[:count]
        queue = order(jobs, SCORES, share, seed=3)
        assert sorted(job.job_id for job in queue.jobs) == sorted(job.job_id for job in jobs)
        assert len(queue.audit) == (min(count, max(1, round(share * count))))
        plain = [queue.scores[job.job_id] for job in queue.jobs if job.job_id not in queue.audit]
        assert plain == sorted(plain, reverse=True)
    assert order(JOBS, {}, 0.1, seed=3).scores == dict.fromkeys((job.job_id for job in JOBS), 0.0)


def test_the_slice_does_not_depend_on_the_model_and_is_spread_evenly() -> None:
    def places(queue: Queue) -> dict[str, int]:
        return {job.job_id: index for index, job in enumerate(queue.jobs) if job.job_id in queue.audit}

    plain = places(order(JOBS, SCORES, 0.1, seed=5))
    turned = places(order(JOBS[::-1], {name: -score for name, score in SCORES.items()}, 0.1, seed=5))
    assert plain == turned
    assert sorted(index // 10 for index in plain.values()) == list(range(24)), "one in every ten places"
    assert len({index % 10 for index in plain.values()}) > 3, "but not the same one in each"
    assert plain != places(order(JOBS, SCORES, 0.1, seed=6))
    counts = np.zeros(240)
    for seed in range(300):
        for name in order(JOBS, SCORES, 0.1, seed=seed).audit:
            counts[int(name[1:])] += 1
    assert abs(counts - 30).max() < 6 * (300 * 0.1 * 0.9) ** 0.5, "every job has the same chance"


def test_what_cannot_be_ordered() -> None:
    for share in (0, -0.1, 1.1):
        with pytest.raises(ValueError, match="share of the jobs"):
            order(JOBS, SCORES, share, seed=0)
    with pytest.raises(ValueError, match="twice"):
        order([JOBS[0], JOBS[0]], SCORES, 0.1, seed=0)


@pytest.mark.parametrize("stop", [60, 120, 200])
@pytest.mark.parametrize("model", ["partly right", "knows nothing", "all wrong"])
def test_the_estimate_is_unbiased_and_its_interval_holds(stop: int, model: str) -> None:
    scores = SCORES
    if model == "knows nothing":
        scores = {name: float(score) for name, score in zip(SCORES, np.random.default_rng(3).random(1440))}
    if model == "all wrong":
        scores = {name: -score for name, score in SCORES.items()}
    errors, held, truths = [], [], []
    for seed in range(250):
        queue = order(JOBS, scores, 0.25, seed=seed)
        judged = {job.job_id: TRUTH[job.job_id] for job in queue.jobs[:stop]}
        estimate = missed(queue, judged)
        num_missed = sum(TRUTH.values()) - sum(judged.values())
        if estimate.clips is None:  # no job of the slice was judged below the line
            continue
        assert (
            estimate.clips_interval is not None
            and estimate.share is not None
            and estimate.interval is not None
        )
        assert estimate.share == pytest.approx(estimate.clips / (estimate.clips + sum(judged.values())))
        assert estimate.interval[0] <= estimate.share <= estimate.interval[1]
        errors.append(estimate.clips - num_missed)
        truths.append(num_missed)
        held.append(estimate.clips_interval[0] <= num_missed <= estimate.clips_interval[1])
    assert len(errors) >= 240
    spread = float(np.std(errors, ddof=1) / len(errors) ** 0.5)
    # The line is drawn at a job: the estimate may be off by a part of one job's clips, beside chance.
    assert abs(np.mean(errors)) < 3 * spread + 1, (np.mean(errors), spread, np.mean(truths))
    assert np.mean(held) > 0.9


def test_the_order_alone_would_mislead() -> None:
    """What is judged first is better than what is left, so its mean says too much of the rest."""
    queue = order(JOBS, SCORES, 0.25, seed=0)
    judged = {job.job_id: TRUTH[job.job_id] for job in queue.jobs[:120]}
    num_missed = sum(TRUTH.values()) - sum(judged.values())
    assert sum(judged.values()) > 2 * num_missed
    estimate = missed(queue, judged)
    assert (
        estimate.clips is not None
        and abs(estimate.clips - num_missed) < abs(sum(judged.values()) - num_missed) / 2
    )
    assert estimate.audited == sum(job.job_id in queue.audit for job in queue.jobs[:120])
    assert estimate.kept == sum(TRUTH[job.job_id] for job in queue.jobs[:120] if job.job_id in queue.audit)


def test_the_ends_of_a_queue() -> None:
    queue = order(JOBS, SCORES, 0.1, seed=1)
    assert missed(queue, {}) == Missed(audited=0, kept=0)
    assert missed(queue, {"another order's": 3}) == Missed(audited=0, kept=0)
    estimate = missed(queue, TRUTH)
    assert (estimate.clips, estimate.share, estimate.interval) == (0, 0, (0, 0)) and estimate.audited == 24
    nothing = missed(queue, dict.fromkeys(TRUTH, 0))
    assert nothing.clips == 0 and nothing.share is None and nothing.interval is None
    half = dict.fromkeys((job.job_id for job in queue.jobs[:120]), 0)
    none = missed(queue, half, found_before=10)
    assert none.share == 0 and none.interval is not None and 0.5 < none.interval[1] < 1, (
        "a dozen jobs without a keeper do not show that there is none"
    )
    assert missed(order([], {}, 0.1, seed=0), {}, found_before=4).share == 0
