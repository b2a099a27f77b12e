"""How long stages took adds up over runs, project by project."""

from pathlib import Path

from experiments.cli.times import NAME, recall, remember


def test_seconds_add_up_by_project_and_stage(tmp_path: Path) -> None:
    runs = str(tmp_path)
    assert recall(runs, "tiny") == {}
    for stage, seconds in (("teachers", 2.04), ("candidates", 1.0), ("teachers", 3.0)):
        remember(runs, "tiny", stage, seconds)
    remember(runs, "full", "teachers", 7.0)
    assert list(recall(runs, "tiny").items()) == [("teachers", 5.0), ("candidates", 1.0)]
    assert recall(runs, "full") == {"teachers": 7.0} and (tmp_path / NAME).exists()
