"""People who choose at random: as many as the rounds ask for, repeatable, and they say what they are."""

import pytest

from stickers.annotation.settings import RoundSettings, Settings
from stickers.annotation.simulated import RandomPeople, SimulatedPeople
from stickers.artifacts.ids import content_id

DIGESTS = [content_id("clip", number) for number in range(2000)]


def picks(people: RandomPeople, name: str, *, round_number: int = 1) -> list[bool]:
    return [people.shares(name, digest, 0.0, round_number=round_number) for digest in DIGESTS]


def test_there_are_as_many_people_as_the_rounds_ask_for() -> None:
    rounds = (
        RoundSettings(role="annotator", people=5, quorum=3),
        RoundSettings(role="expert", people=2, quorum=1),
    )
    roles = RandomPeople(settings=Settings(rounds=rounds)).roles()
    assert list(roles.values()) == ["annotator"] * 5 + ["expert"] * 2
    assert all(name.startswith(f"simulated-{role}-") for name, role in roles.items())


def test_another_rule_is_other_people() -> None:
    people = [RandomPeople(), RandomPeople(share=0.4), RandomPeople(seed=1)]
    names = [name for row in people for name in row.roles()]
    assert len(set(names)) == len(names) == 3 * 4
    assert RandomPeople().roles() == RandomPeople().roles()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9, 1.0])
def test_they_share_at_their_rate(share: float) -> None:
    shared = picks(RandomPeople(share=share), "ana")
    assert sum(shared) / len(shared) == pytest.approx(share, abs=0.035)


def test_a_coin_falls_the_same_way_every_time_and_for_everybody_differently() -> None:
    people, others_seed = RandomPeople(share=0.5), RandomPeople(share=0.5, seed=1)
    assert picks(people, "ana") == picks(people, "ana")
    others = [picks(people, "ben"), picks(people, "ana", round_number=2), picks(others_seed, "ana")]
    for other in others:
        agreeing = sum(a == b for a, b in zip(picks(people, "ana"), other, strict=True))
        assert 0.45 < agreeing / len(DIGESTS) < 0.55, "as independent coins agree"


def test_by_default_the_usual_two_rounds_keep_seven_eighths() -> None:
    people = RandomPeople()
    *annotators, expert = people.roles()
    first_round = [picks(people, name) for name in annotators]
    survivors = [sum(answers) >= 2 for answers in zip(*first_round, strict=True)]
    kept = [a and b for a, b in zip(survivors, picks(people, expert, round_number=2), strict=True)]
    share = 0.9  # all three or two of three, then the expert
    assert sum(kept) / len(kept) == pytest.approx((3 * share**2 - 2 * share**3) * share, abs=0.03)
    assert (3 * share**2 - 2 * share**3) * share == pytest.approx(7 / 8, abs=0.001)


def test_what_they_see_decides_nothing() -> None:
    people: SimulatedPeople = RandomPeople(share=0.3)
    assert people.look("our mascot waves", 0, [("a", b"", 8), ("b", b"", 8)]) == {"a": 0.0, "b": 0.0}
    low, high = (people.shares("ana", DIGESTS[0], value, round_number=1) for value in (0.0, 9.0))
    assert low == high


def test_records_say_that_they_are_simulated() -> None:
    description = RandomPeople(share=0.3, seed=4).description()
    assert "simulated" in description["rule"] and (description["share"], description["seed"]) == (0.3, 4)
    assert RandomPeople().summary([], [], {}) == {}
