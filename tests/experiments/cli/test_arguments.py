"""A command is read by its script's own parser, and nothing of it runs."""

import pytest

from experiments.cli.arguments import argument_problem, help_of, subcommands_of

ANNOTATE, LATENCY = "experiments/annotate.py", "experiments/benchmarks/latency.py"


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        (ANNOTATE, ["person", "ann", "--add", "expert"]),
        (ANNOTATE, ["settings", "gold_rate=0.05"]),
        (ANNOTATE, ["--help"]),
        (LATENCY, ["factors", "--size", "tiny"]),
    ],
)
def test_what_a_script_takes_is_accepted(script: str, arguments: list[str]) -> None:
    assert argument_problem(script, arguments) == ""


@pytest.mark.parametrize(
    ("script", "arguments", "reason"),
    [
        (ANNOTATE, ["person", "ann", "--add", "owner"], "owner"),
        (ANNOTATE, ["person", "ann", "--fire"], "--fire"),
        (ANNOTATE, ["serve", "--port", "many"], "many"),
        (LATENCY, ["factors", "--speed", "3"], "--speed"),
        ("experiments/nothing.py", [], "no such script"),
        ("platform/stickers/pipeline.py", [], "no such script"),
    ],
)
def test_anything_else_is_named(script: str, arguments: list[str], reason: str) -> None:
    assert reason in argument_problem(script, arguments)


def test_help_is_that_of_the_command_line() -> None:
    assert subcommands_of(help_of(ANNOTATE))[:2] == ["serve", "person"]
    assert "--retire" in help_of(ANNOTATE, "person") and "--graph" in help_of(LATENCY)
    assert subcommands_of(help_of(LATENCY)) == []
