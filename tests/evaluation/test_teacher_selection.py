"""Teachers must be kept for what they alone can do, however poor the rest, and duplicates must add nothing."""

import numpy as np
import pytest

from stickers.evaluation.teacher_selection import Pilot, Scored, expected_best, suggest

MOTIONS = ("run", "jump", "wave", "cry")
NUM_CLIPS, PROMPTS_OF_MOTION = 4, 3


def scored(teacher: str, motion: str, prompt: int, clip: int, quality: float, speed: float = 50.0) -> Scored:
    return Scored(
        candidate_id=f"{teacher} {motion} {prompt} {clip}",
        teacher=teacher,
        prompt=f"a fox {motion} {prompt}",
        bucket="action",
        group=motion,
        quality=quality,
        speed=speed,
        consistency=0.9,
    )


def drawn(teacher: str, peaks: dict[str, float], *, seed: int, rest: float = 0.1) -> list[Scored]:
    """One clip of each prompt near the motion's peak, the others near `rest`; noise of the seed."""
    rng = np.random.default_rng(seed)
    return [
        scored(
            teacher,
            motion,
            prompt,
            clip,
            float(np.clip((peaks[motion] if clip == 0 else rest) + rng.normal(0, 0.01), 0, 1)),
            speed=float(rng.uniform(20, 80)),
        )
        for motion in MOTIONS
        for prompt in range(PROMPTS_OF_MOTION)
        for clip in range(NUM_CLIPS)
    ]


def renamed(rows: list[Scored], teacher: str) -> list[Scored]:
    return [
        Scored(**{**vars(clip), "teacher": teacher, "candidate_id": f"copy {clip.candidate_id}"})
        for clip in rows
    ]


GOOD = drawn("good", dict.fromkeys(MOTIONS, 0.6), seed=1, rest=0.5)
RUNNER = drawn("runner", dict.fromkeys(MOTIONS, 0.05) | {"run": 0.9}, seed=2, rest=0.02)
POOR = drawn("poor", dict.fromkeys(MOTIONS, 0.4), seed=3)


def test_bad_on_average_but_best_at_one_motion_is_kept() -> None:
    pilot = Pilot([*GOOD, *RUNNER, *POOR], able=0.5)
    good, poor, runner = pilot.figures()
    assert runner.mean < poor.mean < good.mean and runner.best.value < poor.best.value
    assert runner.lost.value == pytest.approx(0.3 / 4, abs=0.01) and runner.lost.low >= 0
    assert set(runner.ahead) == {"run"} and runner.ahead["run"] == pytest.approx(0.3, abs=0.02)
    assert poor.lost.value == 0 and not poor.ahead and not poor.only and poor.able == 0
    assert runner.able == 3 and good.able == 12 and len(good.only) == 9 and not runner.only
    assert good.only_groups == ("cry", "jump", "wave") and not runner.only_groups
    steps = pilot.greedy()
    assert [step.teacher for step in steps] == ["good", "runner", "poor"]
    assert steps[1].needed_for == ("run",) and not steps[2].needed_for
    assert [step.reached.value for step in steps] == pytest.approx([0.6, 0.675, 0.675], abs=0.02)
    assert suggest(steps, threshold=0.01) == ("good", "runner")


def test_it_is_kept_even_where_its_motion_is_a_small_part() -> None:
    """Equal clips cost the others more than one motion of twelve brings, and still it is the only one that runs."""
    motions = [f"motion {i}" for i in range(11)]
    rng = np.random.default_rng(4)

    def fill(teacher: str, low: float, high: float) -> list[Scored]:
        return [
            scored(teacher, motion, prompt, clip, float(rng.uniform(low, high)))
            for motion in motions
            for prompt in range(2)
            for clip in range(NUM_CLIPS)
        ]

    runs = [scored("runner", "run", p, c, 0.8) for p in range(2) for c in range(NUM_CLIPS)]
    falls = [scored("good", "run", p, c, 0.1) for p in range(2) for c in range(NUM_CLIPS)]
    pilot = Pilot([*fill("good", 0.2, 0.9), *falls, *fill("runner", 0.0, 0.1), *runs], able=0.5)
    step = pilot.greedy()[1]
    assert step.added_at_equal_clips.value < 0.01 < step.added.value and step.needed_for == ("run",)
    assert suggest(pilot.greedy(), threshold=0.01) == ("good", "runner")


def test_duplicates_overlap_wholly_and_nothing_is_lost_without_one() -> None:
    pilot = Pilot([*GOOD, *renamed(GOOD, "twin"), *RUNNER], able=0.5)
    names = list(pilot.teachers)
    good, twin, runner = (names.index(name) for name in ("good", "twin", "runner"))
    for overlap in (pilot.quality_overlap(), pilot.speed_overlap()):
        assert overlap[good, twin] == overlap[twin, good] == pytest.approx(1)
        assert overlap[good, runner] < 0.9 and np.allclose(overlap, overlap.T)
    assert pilot.quality_overlap()[good, runner] == 0
    for figures in (pilot.figures()[good], pilot.figures()[twin]):
        assert figures.lost.value == figures.lost.high == 0 and figures.lost_at_equal_clips.value <= 0
        assert not figures.only and not figures.ahead
    assert pilot.greedy()[2].teacher in ("good", "twin") and pilot.greedy()[2].added.value == 0
    assert len(suggest(pilot.greedy(), threshold=0.01)) == 2


def test_more_luck_is_not_more_skill() -> None:
    """A teacher with the same distribution adds to the best clip, and nothing at equal clips."""
    rng = np.random.default_rng(5)
    rows = [
        scored(teacher, MOTIONS[prompt % 4], prompt, clip, float(rng.uniform(0, 1)))
        for teacher in ("a", "b")
        for prompt in range(400)
        for clip in range(NUM_CLIPS)
    ]
    step = Pilot(rows, able=0.5).greedy()[1]
    assert step.added.value == pytest.approx(8 / 9 - 4 / 5, abs=0.02)
    assert step.added_at_equal_clips.low < 0.005 and abs(step.added_at_equal_clips.value) < 0.015


def test_the_expected_best_of_fewer_clips() -> None:
    values = np.array([[0.0, 0.5, 1.0], [0.2, 0.2, 0.2]])
    assert expected_best(values, 3) == 1 and expected_best(values, 0) == 0
    assert expected_best(values[:1], 1) == pytest.approx(0.5)
    assert expected_best(values[:1], 2) == pytest.approx((0.5 + 1 + 1) / 3)
    assert expected_best(values, 1) == pytest.approx((0.2 + 0.5 + 1) / 3)
    assert expected_best(values, 1.5) == pytest.approx(_by_trial(values, 1.5), abs=0.02)


def _by_trial(values: np.ndarray, draws: float) -> float:
    rng, total = np.random.default_rng(6), 0.0
    for _ in range(4000):
        counts = [int(draws) + (rng.random() < draws % 1) for _ in values]
        total += max(
            rng.choice(row, count, replace=False).max() for row, count in zip(values, counts, strict=True)
        )
    return total / 4000


def test_intervals_are_over_prompts_and_groups_are_averaged_alone() -> None:
    pilot = Pilot([*GOOD, *RUNNER], able=0.5)
    runner = pilot.figures()[1]
    assert runner.groups["run"].value == pytest.approx(0.9, abs=0.02)
    assert runner.groups["cry"].value < 0.1
    assert runner.best.low < runner.best.value < runner.best.high and runner.buckets["action"] == runner.best
    one = Pilot([scored("a", "run", 0, 0, 0.5)], able=0.5)
    assert one.figures()[0].lost.value == one.figures()[0].lost_at_equal_clips.value == 0.5
    assert one.greedy()[0].added.value == 0.5 and one.speed_overlap().tolist() == [[1.0]]


def test_speeds_tell_slow_from_fast() -> None:
    rows = [scored("slow", "run", p, c, 0.5, speed=10 + c) for p in range(5) for c in range(4)]
    rows += [scored("fast", "run", p, c, 0.5, speed=80 + c) for p in range(5) for c in range(4)]
    pilot = Pilot(rows, able=0.5)
    assert pilot.speed_overlap()[0, 1] == 0 and pilot.quality_overlap()[0, 1] == 1
    assert all(shares.sum() == pytest.approx(1) for shares in pilot.speed_shares().values())
    assert [figures.speed for figures in pilot.figures()] == [81.5, 11.5]


def test_a_clip_that_could_not_be_made_counts_as_nothing() -> None:
    failed = [Scored(**{**vars(clip), "quality": 0.0, "speed": None, "consistency": None}) for clip in POOR]
    poor = Pilot([*GOOD, *failed], able=0.5).figures()[1]
    assert poor.best.value == poor.mean == poor.speed == 0
    assert Pilot([*GOOD, *failed], able=0).figures()[1].able == 0


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="there is none"):
        Pilot([], able=0.5)
    with pytest.raises(ValueError, match="'a fox cry 0' was not drawn equally often .*'poor': 3"):
        Pilot([*GOOD, *(e for e in POOR if e.candidate_id != "poor cry 0 1")], able=0.5)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        suggest([], threshold=-1)
