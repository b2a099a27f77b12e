"""`clean.py` lists by default, asks before it removes, and keeps what is registered or voted on."""

import os
from pathlib import Path

import pytest

from actors.tracking import Tracking
from experiments import clean
from stickers import storage
from stickers.errors import UserError
from stickers.housekeeping.cleaning import Findings, InUse, Removable
from tests.support.old_runs import EXPORTED, PLAN, REGENERATION, copy_artifact, copy_runs

UNFINISHED = "remove 3 things"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MLFLOW_TRACKING_URI", "STICKERS_VOTES"):
        monkeypatch.delenv(name, raising=False)
    runs = copy_runs(tmp_path)
    copy_artifact(runs, PLAN, "plans/aside")
    return runs


def files(runs: Path) -> set[str]:
    return {
        str(path.relative_to(runs)) for path in runs.rglob("*") if path.is_file() and ".db" not in path.name
    }


def test_by_default_it_lists_with_sizes_and_reasons_and_removes_nothing(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean.console, "width", 200)
    before = files(runs)
    clean.main(runs=str(runs), idle_hours=0)
    text = capsys.readouterr().out
    assert files(runs) == before
    for words in (
        REGENERATION,
        "plans/aside",
        EXPORTED,
        "no registered model lies in it",
        "KiB",
        "--no-dry-run",
    ):
        assert words in text, words
    clean.main(runs=str(runs), idle_hours=0, only=("unfinished",))
    assert "plans/aside" not in capsys.readouterr().out


def test_without_idle_time_everything_is_too_young(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(runs)
    clean.main(runs=str(runs), yes=True)
    assert files(runs) == before and "is being made" in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["n", ""])
def test_a_no_removes_nothing(
    runs: Path, answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda: answer)
    before = files(runs)
    clean.main(runs=str(runs), idle_hours=0, dry_run=False)
    text = capsys.readouterr().out
    assert files(runs) == before and UNFINISHED in text and "nothing was removed" in text


def test_nobody_at_the_terminal_is_no_yes(runs: Path) -> None:
    with pytest.raises(UserError, match="Nobody is at the terminal to say so; give --yes"):
        clean.main(runs=str(runs), idle_hours=0, dry_run=False)


def test_yes_removes_and_again_finds_nothing(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean.main(runs=str(runs), idle_hours=0, yes=True)
    assert "removed 3 things" in capsys.readouterr().out
    assert not (runs / REGENERATION).exists() and not (runs / EXPORTED).exists()
    assert (runs / PLAN / storage.RECORD).exists()
    clean.main(runs=str(runs), idle_hours=0, yes=True)
    assert "removed" not in capsys.readouterr().out


def test_what_is_registered_stays(runs: Path) -> None:
    tracking = Tracking.open(str(runs))
    run_id = tracking.run("student", {"role": "student"})
    tracking.register(str(runs / EXPORTED), run_id)
    assert clean.in_use(str(runs), None) == InUse(
        exported={EXPORTED.split("/")[1]}, plans={PLAN.split("/")[1]}
    )
    clean.main(runs=str(runs), idle_hours=0, yes=True)
    assert (runs / EXPORTED / storage.RECORD).exists() and not (runs / "plans" / "aside").exists()


def test_of_a_remote_folder_without_server_or_database_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "STICKERS_VOTES"):
        monkeypatch.delenv(name, raising=False)
    assert clean.in_use("fsspec+memory://nowhere/runs", None) == InUse(exported=None, plans=None)


def test_what_is_needed_since_it_was_shown_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def row(name: str) -> Removable:
        (tmp_path / name).write_bytes(b"x" * 2048)
        uris = (str(tmp_path / name),)
        return Removable(
            category="caches", name=name, uris=uris, num_files=1, num_bytes=2048, reason="a cache"
        )

    shown, later = Findings([row("a"), row("b")], []), Findings([row("b"), row("c")], [])
    clean.clean(shown.removable, later.removable)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "c"}
    assert "removed 1 things, 2.0 KiB" in capsys.readouterr().out


def test_a_negative_time_is_refused(runs: Path) -> None:
    with pytest.raises(UserError, match="--idle-hours is at least 0, got -1"):
        clean.main(runs=str(runs), idle_hours=-1)


def test_the_machines_own_leftovers_are_listed_on_request(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STICKERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray" / "session_2026-01-01_00-00-00_000000_1").mkdir(parents=True)
    (tmp_path / "cache" / "copy").mkdir(parents=True)
    for path in (tmp_path / "ray").iterdir():
        os.utime(path, (0, 0))
    os.utime(tmp_path / "cache" / "copy", (0, 0))
    clean.main(runs=str(runs), idle_hours=1, machine=True, yes=True)
    assert not list((tmp_path / "ray").iterdir()) and not list((tmp_path / "cache").iterdir())
    assert "removed 2 things" in capsys.readouterr().out
