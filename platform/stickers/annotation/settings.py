"""How people choose: rounds, quorums, jobs, as numbers that a lead may change at any time without losing a vote."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from stickers.annotation.jobs import CLIPS_PER_JOB, POLICIES, Policy
from stickers.errors import UserError

Role = Literal["annotator", "expert", "lead"]
ROLES: tuple[Role, ...] = get_args(Role)
Ordering = Literal["queue", "model"]
ORDERINGS: tuple[Ordering, ...] = get_args(Ordering)
MOST_PEOPLE, MOST_CLIPS, MOST_ROUNDS = 50, 36, 5
LEASE_SECONDS = 900.0


@dataclass(frozen=True, kw_only=True)
class RoundSettings:
    """Each job is answered by `people` different people of a role; `quorum` of them keep a clip."""

    role: Role
    people: int
    quorum: int


#: paper section 2.3: two of three annotators, then an expert
TWO_ROUNDS = (
    RoundSettings(role="annotator", people=3, quorum=2),
    RoundSettings(role="expert", people=1, quorum=1),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a lead decides about the choosing.

    `gold_rate` is the share of jobs whose answer is known. A person who takes a job has it for `lease_seconds`, then it
    may go to another. With `ordering` "model" likely keepers come first, but for `audit_share` of the jobs, which come
    at random.
    """

    rounds: tuple[RoundSettings, ...] = TWO_ROUNDS
    clips_per_job: int = CLIPS_PER_JOB
    policy: Policy = "mixed"
    gold_rate: float = 0.0
    lease_seconds: float = LEASE_SECONDS
    ordering: Ordering = "queue"
    audit_share: float = 0.1
    paused: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.rounds) <= MOST_ROUNDS:
            raise UserError(f"there are 1 to {MOST_ROUNDS} rounds, got {len(self.rounds)}")
        for number, each in enumerate(self.rounds, 1):
            _choice(f"round {number}: role", each.role, ROLES[:2])
            _between(f"round {number}: people", each.people, 1, MOST_PEOPLE)
            _between(f"round {number}: quorum", each.quorum, 1, each.people)
        _between("clips_per_job", self.clips_per_job, 1, MOST_CLIPS)
        _choice("policy", self.policy, POLICIES)
        _between("gold_rate", self.gold_rate, 0, 0.5)
        _between("lease_seconds", self.lease_seconds, 1, 86_400)
        _choice("ordering", self.ordering, ORDERINGS)
        _between("audit_share", self.audit_share, 0.01, 1)

    def rounds_of(self, role: str) -> list[int]:
        """The numbers of the rounds that people of a role answer; the last round first, since it waits for them."""
        return [number for number, each in enumerate(self.rounds, 1) if each.role == role][::-1]

    def changed(self, values: Mapping[str, Any]) -> "Settings":
        """With some values replaced, as JSON has them.

        Raises:
            UserError: one is unknown or cannot be; the sentence names it.
        """
        known = {each.name for each in fields(self)}
        for name in values:
            if name not in known:
                raise UserError(f"there is no setting {name!r}; settings: {', '.join(sorted(known))}")
        return settings_of({**asdict(self), **values})


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Settings read back from their JSON form. UserError names what cannot be."""
    try:
        rounds = tuple(RoundSettings(**each) for each in values.get("rounds", ()))
        rest = {name: value for name, value in values.items() if name != "rounds"}
        return replace(Settings(rounds=rounds) if rounds else Settings(), **rest)
    except TypeError as error:
        raise UserError(f"settings cannot be read: {error}") from error


def _between(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UserError(f"{name} must be from {low} to {high}, got {value!r}")


def _choice(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise UserError(f"{name} must be one of {', '.join(accepted)}, got {value!r}")
