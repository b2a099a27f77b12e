"""The simulated funnel against what can be worked out."""

import subprocess
import sys

import pytest

from experiments.studies.funnel import (
    PAPERS,
    RULES,
    Rule,
    RuleOutcome,
    World,
    advice,
    expected,
    fitted,
    main,
    simulate,
    some_good,
)

WORLD = fitted(15_000, 8, 0.1, 0.2)


def outcomes(
    accuracies: tuple[float, ...], expert_accuracy: float = 0.95, world: World = WORLD
) -> list[RuleOutcome]:
    return simulate(
        world, RULES, accuracies, expert_accuracy=expert_accuracy, clips_per_job=6, repeats=10, seed=1
    )


def test_a_tenth_of_the_prompts_keeps_a_clip() -> None:
    alone = fitted(15_000, 8, 0.1, 0.0)
    assert 1 - (1 - alone.rate) ** 8 == pytest.approx(0.1)
    assert some_good(alone.rate, 8, 1e-9) == pytest.approx(0.1, abs=1e-6), "the two cases meet"
    # One clip a prompt: how clips correlate does not matter.
    assert fitted(1, 1, 0.1, 0.5).rate == pytest.approx(0.1) == fitted(1, 1, 0.1, 0.0).rate
    # Two clips, a uniform rate (correlation 1/3, mean 1/2): none is good with the integral of (1 - p)^2, a third.
    assert some_good(0.5, 2, 1 / 3) == pytest.approx(2 / 3)
    assert WORLD.rate > alone.rate, "good clips that crowd in few prompts must be more"


def test_people_who_never_err_keep_what_is_good() -> None:
    for outcome in outcomes((1.0,), expert_accuracy=1.0):
        assert outcome.precision == outcome.recall == 1.0
        assert outcome.prompts == outcome.right_prompts == pytest.approx(1500, abs=60)
        experts = outcome.good / 6 if outcome.rule.expert else 0
        assert outcome.submissions == pytest.approx(20_000 * outcome.rule.people + experts, abs=1)
        assert outcome.price == pytest.approx(outcome.submissions / outcome.good)


def test_rates_by_hand() -> None:
    two_of_three = Rule(quorum=2, people=3, expert=False)
    assert two_of_three.rates(0.9, 0.95) == pytest.approx((0.972, 0.028))
    assert PAPERS.rates(0.9, 0.95) == pytest.approx((0.972 * 0.95, 0.028 * 0.05))
    assert Rule(quorum=1, people=2, expert=False).rates(0.7, 0.5) == pytest.approx((0.91, 0.51))
    assert Rule(quorum=4, people=5, expert=False).rates(0.8, 0.5) == pytest.approx((0.73728, 0.00672))


@pytest.mark.parametrize("correlation", [0.0, 0.2])
def test_the_simulation_is_the_closed_form(correlation: float) -> None:
    world = fitted(15_000, 8, 0.1, correlation)
    for outcome in outcomes((0.7, 0.95), world=world):
        precision, recall = expected(world, outcome.rule, outcome.accuracy, expert_accuracy=0.95)
        # 10 repeats: about 16,000 good clips or more, and at least some 7,000 kept
        assert outcome.recall == pytest.approx(recall, abs=0.02), outcome
        assert outcome.precision == pytest.approx(precision, abs=0.025), outcome
        assert outcome.good == pytest.approx(120_000 * world.rate, rel=0.05)


def test_advice_says_what_is_cheapest_and_that_it_is_simulated() -> None:
    results = outcomes((0.7, 0.95))
    first, careless, careful = advice(WORLD, results, 0.95)
    assert "simulated" in first and "none reaches precision 0.95" in careless
    assert "of precision 0.95 2 of 2 + expert" in careful and "cheapest, 4 of 5 (precision" in careful


def test_impossible_values_are_refused() -> None:
    with pytest.raises(ValueError, match="from 0.5 to 1, got 0.3"):
        main(accuracies=(0.3,))
    with pytest.raises(ValueError, match="correlation in"):
        main(correlation=1.0)
    with pytest.raises(ValueError, match="at least one accuracy"):
        main(repeats=0)


def test_every_table_says_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    main(prompts=300, accuracies=(0.8,), repeats=1)
    printed = capsys.readouterr().out
    assert printed.count("simulated") >= 7 and "2 of 3 + expert" in printed


def test_help() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments.studies.funnel", "--help"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and "--expert-accuracy" in done.stdout
