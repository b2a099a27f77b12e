"""A lead at the command line: starts and stops the page, edits people and settings, plants gold, moves files, keeps."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import tyro

from experiments.annotate import main
from experiments.cli.keeping import join_queue
from experiments.trials.ports import free_ports
from stickers import storage
from stickers.annotation.exchange.vote_tables import read_jobs, read_votes
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import KEPT, PREFERENCES
from stickers.candidates.archive import Candidates
from tests.support.plans import finish_plan
from tests.support.processes import wait_for

ROOT = Path(__file__).resolve().parents[2]
Lead = Callable[..., str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chosen") / "runs"
    finish_plan(folder, 6, ("good", "lazy"))
    return folder


@pytest.fixture
def lead(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lead:
    """Runs a command on a database of this test; returns what it prints."""

    def do(*argv: str) -> str:
        options = ["--runs", str(runs), "--votes", f"sqlite:///{tmp_path}/votes.db"]
        tyro.cli(main, args=[argv[0], *options, *argv[1:]])
        return capsys.readouterr().out

    return do


@pytest.fixture
def page(runs: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Start the page from a shell; its links by role."""
    port, log = free_ports(1)[0], tmp_path / "log"
    script = str(ROOT / "experiments" / "annotate.py")
    options = ["--runs", str(runs), "--votes", f"sqlite:///{tmp_path}/votes.db", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, script, "serve", *options], stdout=output, stderr=output)
    try:
        wait_for(lambda: "Ctrl-C" in log.read_text() or process.poll() is not None)
        links = dict(re.findall(r"(annotator|expert|lead) (http\S+)", log.read_text()))
        assert set(links) == {"annotator", "expert", "lead"}, log.read_text()
        assert "rounds and jobs are as project tiny has them" in log.read_text()
        yield links
        process.send_signal(signal.SIGINT)
        assert process.wait(300) in (0, 130), log.read_text()
    finally:
        process.kill()
        process.wait()


def work_through(link: str, good: set[str]) -> int:
    """Sign in by a link and answer every job that comes; returns how many."""
    address, _, token = link.partition("/#sign-in=")
    with httpx.Client(base_url=address, timeout=60) as client:
        session: dict[str, Any] = client.post("/api/sign-in", json={"token": token}).json()
        client.headers["X-CSRF-Token"] = session["csrf"]
        count, job = 0, client.post("/api/next", json={}).json()["job"]
        while job:
            picks = [clip["id"] for clip in job["clips"] if clip["id"] in good]
            body = {"picks": picks, "revision": 0}
            job = client.post(f"/api/jobs/{job['job_id']}/answer", json=body).json()["job"]
            count += 1
    return count


def test_from_the_page_to_the_kept_set(page: dict[str, str], lead: Lead, runs: Path, tmp_path: Path) -> None:
    plan = storage.find_record(str(runs), "plans")
    good = {row.candidate_id for row in Candidates(plan.uri) if row.teacher == "good"}
    address = page["lead"].partition("/#")[0]
    others = [lead("person", name, "--add", "annotator", "--address", address) for name in ("ann", "bob")]
    links = [page["annotator"], *(re.findall(r"http\S+", report)[0] for report in others)]
    assert [work_through(link, good) for link in links] == [4, 4, 4]
    with pytest.raises(
        ValueError, match="nothing is kept: .* 12 went through the first round and none through all 2"
    ):
        lead("keep")
    assert work_through(page["expert"], good) == 2
    assert "ann" in lead("status") and json.loads(lead("status", "--json"))["rounds"][0]["finished"] == 4

    assert "4 gold jobs of 24 clips, 12 of them worth sharing" in lead("gold")
    report = lead("keep")
    assert "(people)" in report and "6 of 6 prompts keep a clip" in report
    kept = storage.find_record(str(runs), "kept")
    rows = storage.read_table(storage.join(kept.uri, "kept.parquet"), KEPT).to_pylist()
    assert {row["candidate_id"] for row in rows} == good and not any(row["simulated"] for row in rows)
    assert all(len(row["accepted_by"]) == 3 and row["experts"] == ["expert"] for row in rows)
    pairs = storage.read_table(storage.join(kept.uri, "preferences.parquet"), PREFERENCES).to_pylist()
    assert len(pairs) == 12 and all(pair["chosen"] in good and pair["rejected"] not in good for pair in pairs)
    assert "nothing to do" in lead("keep")

    for suffix in ("parquet", "csv", "json"):
        assert "14 votes" in lead("export", "votes", str(tmp_path / f"votes.{suffix}"))
        assert "10 jobs" in lead("export", "jobs", str(tmp_path / f"jobs.{suffix}"))
        votes_read, refused = read_votes(str(tmp_path / f"votes.{suffix}"))
        assert len(votes_read) == 14 and not refused and not read_jobs(str(tmp_path / f"jobs.{suffix}"))[1]
    other = ["--votes", f"sqlite:///{tmp_path}/other.db"]
    lead("import", *other, "jobs", str(tmp_path / "jobs.parquet"))
    assert "14 new votes, 0 refused" in lead("import", *other, "votes", str(tmp_path / "votes.csv"))
    with VoteStore(other[1]) as votes:
        assert len(votes.all()) == 14

    assert "4 votes of ann count no more" in lead("person", "ann", "--retire", "asleep")
    assert "4 votes of ann count again" in lead("person", "ann", "--restore", "awake")


def test_settings_and_people_are_checked(lead: Lead) -> None:
    assert "clips_per_job=4" in lead("settings", "clips_per_job=4", "policy=stratified")
    for wrong, says in (
        ("gold_rate=2", "from 0 to 0.5"),
        ("speed=1", "no setting 'speed'"),
        ("x", "NAME=VALUE"),
    ):
        with pytest.raises(ValueError, match=says):
            lead("settings", wrong)
    assert "#sign-in=" in lead("person", "ann", "--add", "expert")
    with pytest.raises(ValueError, match="somebody of the name 'ann'"):
        lead("person", "ann", "--add", "lead")
    with pytest.raises(ValueError, match="nobody of the name 'zoe'"):
        lead("person", "zoe", "--active", "True")
    with pytest.raises(ValueError, match="no right answer is known yet"):
        lead("gold")


def test_gold_from_a_table_and_jobs_built_anew(lead: Lead, runs: Path, tmp_path: Path) -> None:
    plan = storage.find_record(str(runs), "plans")
    rows = list(Candidates(plan.uri))
    table = tmp_path / "gold.csv"
    lines = [f"{row.candidate_id},{str(row.teacher == 'good').lower()}" for row in rows[:8]]
    table.write_text("\n".join(["candidate_id,share", *lines]) + "\n")
    with pytest.raises(ValueError, match="was never opened"):
        lead("close")
    with VoteStore(f"sqlite:///{tmp_path}/votes.db") as votes:
        assert join_queue(votes, plan, "lea") == 4
    assert "gold jobs" in lead("gold", "--table", str(table))
    lead("settings", "clips_per_job=3")
    assert lead("rebuild").endswith("\n8 jobs\n") and "is closed" in lead("close")
    table.write_text("candidate_id,share\nx,maybe\n")
    with pytest.raises(ValueError, match="row 1: share is 'maybe'"):
        lead("gold", "--table", str(table))
