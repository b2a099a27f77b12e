"""The settings of the choosing: rounds, quorums, jobs. A lead may change them at any time; no vote is lost."""

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
MOST_GOLD = 0.5
LONGEST_LEASE = 24 * 3600
LEAST_AUDIT = 0.01


@dataclass(frozen=True, kw_only=True)
class RoundSettings:
    """Each job is answered by `people` different people of one role; a clip needs `quorum` of them to survive."""

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

    `gold_rate` is the share of jobs whose right answer is known. A person holds a job for `lease_seconds`; after that
    it may go to another person. With `ordering` "model" likely keepers come first, except for a random `audit_share`
    of the jobs.
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
        for number, rules in enumerate(self.rounds, 1):
            _choice(f"round {number}: role", rules.role, ROLES[:2])
            _between(f"round {number}: people", rules.people, 1, MOST_PEOPLE)
            _between(f"round {number}: quorum", rules.quorum, 1, rules.people)
        _between("clips_per_job", self.clips_per_job, 1, MOST_CLIPS)
        _choice("policy", self.policy, POLICIES)
        _between("gold_rate", self.gold_rate, 0, MOST_GOLD)
        _between("lease_seconds", self.lease_seconds, 1, LONGEST_LEASE)
        _choice("ordering", self.ordering, ORDERINGS)
        _between("audit_share", self.audit_share, LEAST_AUDIT, 1)

    def rounds_of(self, role: str) -> list[int]:
        """The numbers of the rounds that a role answers, the last first, because its clips have come furthest."""
        return [number for number, rules in enumerate(self.rounds, 1) if rules.role == role][::-1]

    def changed(self, values: Mapping[str, Any]) -> "Settings":
        """These settings with some values replaced; values are as JSON has them.

        Raises:
            UserError: names a setting that does not exist or a value that is not accepted.
        """
        names = {field.name for field in fields(self)}
        for name in values:
            if name not in names:
                raise UserError(f"there is no setting {name!r}; settings: {', '.join(sorted(names))}")
        return settings_of({**asdict(self), **values})


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Settings from their JSON form. UserError names a value that is not accepted."""
    try:
        rounds = tuple(RoundSettings(**entry) for entry in values.get("rounds", ()))
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
