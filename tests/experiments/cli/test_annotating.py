"""Where the votes are, which plan is meant, links for people, and the tables that `annotate.py` prints."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from experiments.cli.annotating import PlanOptions, StoreOptions, create_link, print_status
from experiments.cli.keeping import join_queue
from stickers import storage
from stickers.annotation.overview import overview
from stickers.annotation.store.people import find_person, people_in
from stickers.candidates.archive import Candidates
from stickers.errors import UserError
from tests.support.choosing import PEOPLE, work
from tests.support.plans import finish_plan


def test_votes_lie_in_the_runs_folder_unless_somebody_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STICKERS_VOTES", raising=False)
    options = StoreOptions(runs=str(tmp_path))
    assert options.url() == f"sqlite:///{tmp_path}/votes.db"
    assert StoreOptions(runs=str(tmp_path), votes="sqlite:////x.db").url() == "sqlite:////x.db"
    assert options.write(people_in) == []


def test_a_finished_plan_is_found_by_name_or_as_the_latest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run experiments/candidates.py first"):
        PlanOptions(runs=str(tmp_path), project="tiny").find_plan()
    first, second = finish_plan(tmp_path, 1), finish_plan(tmp_path, 2)
    assert PlanOptions(runs=str(tmp_path), project="tiny").find_plan().folder == second.plan_id
    assert PlanOptions(runs=str(tmp_path), plan=first.plan_id).find_plan().folder == first.plan_id


def test_a_link_adds_a_person_once(tmp_path: Path) -> None:
    with StoreOptions(runs=str(tmp_path)).open() as store:
        links = [create_link(store, "ann", role, "http://localhost/") for role in ("annotator", "expert")]
        assert all(link.startswith("http://localhost/#sign-in=") for link in links) and links[0] != links[1]
        (person,) = store.read(people_in)
        assert (person.name, person.role) == ("ann", "annotator")
        token = links[1].partition("=")[2]
        person_found, _ = store.read(lambda connection: find_person(connection, token=token))
        assert person_found is not None and person_found.name == "ann"


def test_the_status_tells_of_rounds_and_people(tmp_path: Path) -> None:
    finish_plan(tmp_path, 3)
    plan = storage.find_record(str(tmp_path), "plans")
    candidates = {row.candidate_id: row for row in Candidates(plan.uri)}
    good = {name for name, row in candidates.items() if row.teacher == "good"}
    screen = io.StringIO()
    with StoreOptions(runs=str(tmp_path)).open() as store:
        for name in ("ann", "bob", "cid", "eve"):
            create_link(store, name, PEOPLE[name], "http://localhost/")
        num_jobs = join_queue(store, plan, "lea")
        for name in ("ann", "bob", "cid"):
            assert work(store, name, good) == num_jobs
        summary = store.read(lambda connection: overview(connection, candidates))
    print_status(Console(file=screen, width=200), summary)
    text = screen.getvalue()
    assert "2 of 3 annotators" in text and "1 of 1 experts" in text
    assert f"round 1, {len(candidates)} clips: percent 1.00" in text
    assert all(name in text for name in ("ann", "bob", "cid", "eve")) and "simulated" not in text
