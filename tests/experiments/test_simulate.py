"""From a finished plan to a kept set: the panel keeps good clips, marks what it touched, and repeats nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actors.cluster import connect
from experiments.cli.keeping import join_queue, kept_latents, votes_url
from experiments.simulate import look_at, main
from recipes.toy.projects import TINY
from stickers import storage
from stickers.annotation.settings import Settings
from stickers.annotation.store.people import Person, add_person
from stickers.annotation.store.seats import Answer, give, submit, take
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import KEPT, VOTES
from stickers.candidates.archive import Candidates
from stickers.data.latents import LatentSet, shape_of
from stickers.toy.panel import Panel
from tests.support.gates import Gate
from tests.support.plans import finish_plan

ROOT = Path(__file__).resolve().parents[2]
ANOTHER_PANEL = """
from dataclasses import replace

from recipes.toy.projects import TINY
from stickers.toy.panel import Panel

project = replace(TINY, name="another", people=Panel(threshold={threshold}))
"""


NUM_CANDIDATES = 24
#: six candidates are shown in a job
NUM_JOBS = NUM_CANDIDATES // 6


@pytest.fixture(scope="module")
def finished_plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with one finished plan of 24 candidates, half of them good, which the people have looked at."""
    runs = tmp_path_factory.mktemp("planned") / "runs"
    finish_plan(runs, 6)
    plan = storage.find_record(str(runs), "plans")
    archive = Candidates(plan.uri)
    assert isinstance(TINY.people, Panel)
    look_at(str(runs), TINY.people, plan, archive, list(archive))
    return runs


@pytest.mark.long
def test_the_panel_keeps_the_good_ones_and_says_simulated(
    finished_plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(finished_plan, runs)
    script = str(ROOT / "experiments" / "simulate.py")
    argv = [sys.executable, script, "--runs", str(runs), "--project", "tiny"]
    gate, log = Gate(tmp_path / "gate", submit, free_calls=2), tmp_path / "log"
    with log.open("wb") as stream:
        victim = subprocess.Popen(argv, stdout=stream, stderr=stream, env=gate.environment())
    gate.wait(victim, log)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    assert (runs / "votes-simulated.db").exists() and not list(runs.glob("kept/*/record.json"))

    main(runs=str(runs), project="tiny")
    assert "simulated" in capsys.readouterr().out
    kept_set = storage.find_record(str(runs), "kept")
    kept = storage.read_table(storage.join(kept_set.uri, "kept.parquet"), KEPT).to_pylist()
    by_teacher = [sum(row["teacher"] == name for row in kept) for name in ("good", "lazy")]
    assert by_teacher[0] >= 8 and by_teacher[1] <= 1, by_teacher
    assert all(row["simulated"] and len(row["accepted_by"]) >= 2 and row["experts"] for row in kept)
    assert kept_set.record["simulated"] and kept_set.record["counts"]["kept"] == len(kept)
    votes = storage.read_table(storage.join(str(runs), "votes", kept_set.record["votes"]), VOTES).to_pylist()
    keys = {(vote["job_id"], vote["annotator"], vote["round"]) for vote in votes}
    assert len(keys) == len(votes) == kept_set.record["counts"]["votes"]
    assert len(votes) == NUM_JOBS * 3 + sum(vote["round"] == 2 for vote in votes) and all(
        v["simulated"] for v in votes
    )

    main(runs=str(runs), project="tiny")
    assert "nothing to do" in capsys.readouterr().out and len(list(runs.glob("kept/*/record.json"))) == 1
    with VoteStore(votes_url(str(runs), None)) as people:
        assert join_queue(people, storage.find_record(str(runs), "plans"), "lea") == NUM_JOBS, (
            "people have all to choose"
        )


def test_another_threshold_is_another_panel(finished_plan: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(finished_plan, runs)
    for threshold in (0.75, 2.0):
        path = tmp_path / f"panel_{threshold:.0f}.py"
        path.write_text(ANOTHER_PANEL.format(threshold=threshold))
        main(runs=str(runs), project=str(path), plan=storage.find_record(str(runs), "plans").folder)
    counts = [kept.record["counts"]["kept"] for kept in storage.find_records(str(runs), "kept")]
    assert len(counts) == 2 and counts[1] > counts[0] + 10


def test_what_people_keep_of_a_pilot_stands_for_nothing(finished_plan: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(finished_plan, runs)
    record = next(runs.glob("plans/*/record.json"))
    record.write_text(json.dumps({**json.loads(record.read_text()), "kind": "pilot"}))
    main(runs=str(runs), project="tiny")
    assert storage.find_records(str(runs), "kept") and storage.current(str(runs), "kept", "tiny") is None


def test_the_panel_does_not_mix_with_people(finished_plan: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(finished_plan, runs)
    plan = storage.find_record(str(runs), "plans")
    with VoteStore(f"sqlite:///{runs}/votes-simulated.db") as votes:
        join_queue(votes, plan, "lea")
        ann = Person(name="ann", role="annotator")
        votes.write(lambda connection: add_person(connection, "ann", "annotator")).result()
        lease = votes.write(lambda connection: take(connection, ann, Settings())).result()
        assert lease
        votes.write(lambda connection: give(connection, ann, lease.job.job_id, Answer())).result()
    with pytest.raises(ValueError, match="ann has voted on plan .* do not mix"):
        main(runs=str(runs), project="tiny")


@pytest.mark.long
@pytest.mark.ray
def test_kept_clips_are_encoded_for_each_student_once(
    finished_plan: Path, tiny_foundations: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(finished_plan, runs)
    main(runs=str(runs), project="tiny")
    kept = storage.find_record(str(runs), "kept")
    sets = {}
    with connect():
        for name, size in (("kept", 32), ("kept", 16), ("all", 32)):
            sets[name, size] = kept_latents(kept, name, str(tiny_foundations), size)
        assert kept_latents(kept, "kept", str(tiny_foundations), 32) == sets["kept", 32]
    assert len(set(sets.values())) == 3
    latents = {key: LatentSet.load(uri) for key, uri in sets.items()}
    count = kept.record["counts"]["kept"]
    assert [len(latents[key]) for key in sets] == [count, count, NUM_CANDIDATES]
    assert shape_of(latents["kept", 32].frames)[-1] == 2 * shape_of(latents["kept", 16].frames)[-1]
    assert int(latents["all", 32].length[0]) == 8


def test_in_a_project_of_real_people_nobody_is_simulated(tmp_path: Path) -> None:
    path = tmp_path / "real_people.py"
    path.write_text(
        "from dataclasses import replace\nfrom recipes.toy.projects import TINY\n"
        "from stickers.project import People\nproject = replace(TINY, name='real', people=People())\n"
    )
    with pytest.raises(ValueError, match="real people choose: run experiments/annotate.py serve"):
        main(runs=str(tmp_path / "runs"), project=str(path))


def test_nothing_to_judge_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run experiments/candidates.py first"):
        main(runs=str(tmp_path / "runs"), project="tiny")
