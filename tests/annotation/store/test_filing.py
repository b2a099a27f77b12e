"""Jobs come back from the database as they went in, once and in their order."""

from pathlib import Path

import pytest

from stickers.annotation.jobs import GOLD, build_jobs
from stickers.annotation.store.filing import add_jobs, add_seats, find_job, find_jobs, jobs_in, padded
from stickers.annotation.store.votes import VoteStore
from tests.support.choosing import do
from tests.support.clips import ROWS

JOBS = build_jobs(ROWS, plan_id="plan", round_number=1)
GOLD_JOBS = build_jobs(ROWS[:6], plan_id="plan", round_number=1, kind=GOLD)


def test_jobs_are_appended_once_and_listed_in_order(tmp_path: Path) -> None:
    right = {GOLD_JOBS[0].job_id: list(GOLD_JOBS[0].candidates[:2])}
    with VoteStore(f"sqlite:///{tmp_path}/votes.db") as store:
        assert do(store, lambda connection: add_jobs(connection, JOBS[:2], 3)) == 2
        assert do(store, lambda connection: add_jobs(connection, JOBS, 3)) == 2, "two are there already"
        assert do(store, lambda connection: add_jobs(connection, GOLD_JOBS, 0, right=right)) == 1
        assert store.read(jobs_in) == [*JOBS, *GOLD_JOBS]
        assert store.read(lambda connection: jobs_in(connection, "plan", GOLD)) == GOLD_JOBS
        assert store.read(lambda connection: jobs_in(connection, "another plan")) == []


def test_jobs_are_found_by_id(tmp_path: Path) -> None:
    with VoteStore(f"sqlite:///{tmp_path}/votes.db") as store:
        do(store, lambda connection: add_jobs(connection, JOBS, 1))
        seat = (JOBS[0].job_id, 1, "choose", 1.0, 2)
        do(store, lambda connection: add_seats(connection, [seat]))
        assert store.read(lambda connection: find_job(connection, JOBS[2].job_id)) == JOBS[2]
        by_id = store.read(lambda connection: find_jobs(connection, [JOBS[1].job_id, JOBS[0].job_id]))
        assert list(by_id.values()) == [JOBS[1], JOBS[0]]
        with pytest.raises(LookupError, match="no job unknown"):
            store.read(lambda connection: find_job(connection, "unknown"))


def test_padding_keeps_the_values_and_their_number_a_power_of_two() -> None:
    assert padded(["a"]) == ["a"]
    assert padded(["a", "b", "c"]) == ["a", "b", "c", "c"]
    assert len(padded(["x"] * 9)) == 16
