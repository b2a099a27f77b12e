"""Simulated people, so that a chain can run without real ones. Whatever they touch says `simulated`.

A project hands its simulated people in. They sign in, take jobs and answer them over HTTP as people do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stickers.annotation.settings import Role, Settings
from stickers.artifacts.ids import content_id, seed_from
from stickers.artifacts.records import Candidate, Kept

#: clips of one sticker: (digest, strip, number of frames)
Strips = Sequence[tuple[str, bytes, int]]
#: values of `seed_from` lie below this
SEED_RANGE = 2**53


class SimulatedPeople(Protocol):
    """Who answers in place of people, and by which rule."""

    @property
    def settings(self) -> Settings:
        """Rounds, quorums and jobs."""
        ...

    def roles(self) -> Mapping[str, Role]:
        """The role of each person, by a name that changes with the rule: a changed rule is other people."""
        ...

    def look(self, prompt: str, image_index: int, strips: Strips) -> dict[str, float]:
        """What these people see in the clips of one sticker: a number a clip digest. Runs in another process.

        Raises:
            UserError: only real people can judge this prompt.
        """
        ...

    def shares(self, name: str, digest: str, value: float, *, round_number: int) -> bool:
        """Whether a person would share a clip that `look` gave `value`."""
        ...

    def description(self) -> dict[str, Any]:
        """For records: `rule`, a noun phrase that reports say of these people, and the numbers behind it."""
        ...

    def summary(
        self, candidates: Sequence[Candidate], kept: Sequence[Kept], values: Mapping[str, float]
    ) -> dict[str, Any]:
        """Further facts about a kept set, for its record."""
        ...


@dataclass(frozen=True, kw_only=True)
class RandomPeople:
    """People who look at nothing: each shares a clip with probability `share`, decided by `seed`, name and clip.

    They show that a chain runs. What is kept says nothing about quality. By default the usual two rounds keep seven
    eighths of the clips, so that a plan of few clips keeps some.
    """

    share: float = 0.9
    seed: int = 0
    settings: Settings = field(default_factory=Settings)

    def roles(self) -> dict[str, Role]:
        """As many people as the settings' rounds ask for."""
        suffix = content_id("random people", self.share, self.seed)[:6]
        return {
            f"simulated-{row.role}-{number}-{suffix}": row.role
            for row in self.settings.rounds
            for number in range(1, row.people + 1)
        }

    def look(self, prompt: str, image_index: int, strips: Strips) -> dict[str, float]:
        """They see nothing."""
        return {digest: 0.0 for digest, *_ in strips}

    def shares(self, name: str, digest: str, value: float, *, round_number: int) -> bool:
        """A coin that falls the same way every time."""
        return seed_from("random people", self.seed, name, round_number, digest) / SEED_RANGE < self.share

    def description(self) -> dict[str, Any]:
        """The rule."""
        return {"rule": "simulated people who choose at random", "share": self.share, "seed": self.seed}

    def summary(
        self, candidates: Sequence[Candidate], kept: Sequence[Kept], values: Mapping[str, float]
    ) -> dict[str, Any]:
        """Nothing more is known."""
        return {}
