"""Which stage a command is in, of how many, and for how long it has been at work."""

import pytest

from experiments.cli.stages import NUMBERED, Stages


def test_stages_are_numbered_and_tell_the_time_so_far(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(NUMBERED, raising=False)
    stages = Stages("list", "encode [all]", "write")
    stages.begin("list")
    stages.begin("encode [all]", "at 32 pixels")
    first, second = capsys.readouterr().out.splitlines()
    assert first == "stage 1 of 3: list"
    assert second.startswith("stage 2 of 3: encode [all]: at 32 pixels (") and second.endswith(" so far)")


def test_a_stage_may_be_left_out_and_an_unknown_one_is_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    stages = Stages("list", "encode", "write")
    stages.begin("write")
    assert "3 of 3: write" in capsys.readouterr().out
    with pytest.raises(ValueError, match="not in tuple"):
        stages.begin("read")


def test_stages_of_a_command_inside_a_stage_are_its_parts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NUMBERED, "1")
    Stages("list").begin("list")
    assert capsys.readouterr().out == "part 1 of 1: list\n"
