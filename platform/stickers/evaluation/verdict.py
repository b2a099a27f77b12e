"""What an evaluation came to, in words. It says "worse than a still" where that is so."""

from collections.abc import Sequence
from typing import Protocol

from stickers.evaluation.comparisons import Difference, Figure

ERROR, MOTION, STILL = "error", "motion_size", "still"
#: motion below this share of the largest among the teachers counts as hardly any
LITTLE_MOTION = 0.25


class Named(Protocol):
    """A recipe, of which the name is all that is needed."""

    @property
    def name(self) -> str:
        """The name of the system that the recipe makes."""
        ...


class Systems(Protocol):
    """Which systems a project has."""

    @property
    def teachers(self) -> Sequence[Named]:
        """Its teachers."""
        ...

    @property
    def students(self) -> Sequence[Named]:
        """Its students."""
        ...

    @property
    def distillations(self) -> Sequence[Named]:
        """Its distilled students."""
        ...


def verdicts(figures: Sequence[Figure], differences: Sequence[Difference], systems: Systems) -> list[str]:
    """One sentence a student and distilled student, and one about what the figures cannot say."""
    names = [recipe.name for recipe in (*systems.students, *systems.distillations)]
    against_still = {row.system: row for row in differences if row.metric == ERROR and row.baseline == STILL}
    motion = {row.system: row.value for row in figures if row.metric == MOTION}
    liveliest = max([motion.get(recipe.name, 0.0) for recipe in systems.teachers] or [0.0])
    present = [name for name in names if name in motion]
    if against_still:
        return [_by_truth(name, against_still[name]) for name in present if name in against_still]
    sentences = [_by_motion(name, motion[name], liveliest) for name in present]
    return [
        *sentences,
        "No truth is known of these stickers: whether a motion is the right one, people must judge.",
    ]


def _by_truth(name: str, gap: Difference) -> str:
    span = f"error minus the still's {gap.value:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]"
    if gap.high < 0:
        return f"{name} is better than a still: {span}"
    if gap.low > 0:
        return f"{name} is WORSE than a still: {span}"
    return f"{name} cannot be told from a still: {span}"


def _by_motion(name: str, motion: float, liveliest: float) -> str:
    if motion < LITTLE_MOTION * liveliest:
        return f"{name} hardly moves: motion size {motion:.2f}, its liveliest teacher {liveliest:.2f}"
    return f"{name} moves: motion size {motion:.2f}, its liveliest teacher {liveliest:.2f}"
