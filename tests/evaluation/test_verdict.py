"""What an evaluation came to, in words: better, worse or not to be told from a still, or how much moves."""

from dataclasses import dataclass

from stickers.evaluation.comparisons import Difference, Figure
from stickers.evaluation.verdict import verdicts


@dataclass(frozen=True)
class Recipe:
    name: str


@dataclass(frozen=True)
class Project:
    teachers: tuple[Recipe, ...] = (Recipe("calm"), Recipe("wild"))
    students: tuple[Recipe, ...] = (Recipe("student"),)
    distillations: tuple[Recipe, ...] = (Recipe("distilled"),)


def figures(**motion: float) -> list[Figure]:
    rows = [
        Figure(system=name, metric="motion_size", value=value, low=0, high=9, count=24)
        for name, value in motion.items()
    ]
    return [*rows, Figure(system="student", metric="consistency", value=99.0, low=0, high=99, count=24)]


def gap(
    system: str, low: float, high: float, *, metric: str = "error", baseline: str = "still"
) -> Difference:
    return Difference(
        system=system, baseline=baseline, metric=metric, value=(low + high) / 2, low=low, high=high
    )


MOVING = figures(calm=1.0, wild=4.0, student=2.0, distilled=0.9)


def test_against_a_truth_each_system_is_better_worse_or_not_to_be_told_apart() -> None:
    for low, high, words in (
        (-0.7, -0.5, "is better than a still: error minus the still's -0.60 [-0.70, -0.50]"),
        (0.1, 0.3, "is WORSE than a still: error minus the still's +0.20 [+0.10, +0.30]"),
        (-0.1, 0.3, "cannot be told from a still: error minus the still's +0.10 [-0.10, +0.30]"),
    ):
        assert verdicts(MOVING, [gap("student", low, high)], Project()) == [f"student {words}"]


def test_only_the_error_against_the_still_counts() -> None:
    differences = [
        gap("student", 0.1, 0.2, metric="likeness"),
        gap("student", 0.1, 0.2, baseline="calm"),
        gap("calm", 0.1, 0.2),
        gap("distilled", -0.2, -0.1),
    ]
    (sentence,) = verdicts(MOVING, differences, Project())
    assert sentence.startswith("distilled is better than a still")


def test_without_a_truth_motion_is_told_beside_the_liveliest_teacher() -> None:
    student, distilled, limit = verdicts(MOVING, [], Project())
    assert student == "student moves: motion size 2.00, its liveliest teacher 4.00"
    assert distilled == "distilled hardly moves: motion size 0.90, its liveliest teacher 4.00"
    assert "No truth is known" in limit and "people must judge" in limit


def test_a_quarter_of_the_liveliest_motion_is_the_border() -> None:
    at_border, _, _ = verdicts(figures(wild=4.0, student=1.0, distilled=1.0), [], Project())
    assert at_border.startswith("student moves")


def test_systems_that_were_not_evaluated_are_passed_over() -> None:
    assert len(verdicts(figures(wild=4.0, student=1.0), [], Project())) == 2
    without_teachers = verdicts(figures(student=1.0), [], Project(teachers=()))
    assert without_teachers[0] == "student moves: motion size 1.00, its liveliest teacher 0.00"
