"""Clips move through the rounds, candidate sets and settings change: no vote is ever lost."""

from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy import select

from stickers.annotation import rounds
from stickers.annotation.rounds import (
    advance,
    begin_settings,
    change_settings,
    close_plan,
    open_plan,
    rebuild,
    retire,
)
from stickers.annotation.settings import RoundSettings, Settings
from stickers.annotation.store.database import seats
from stickers.annotation.store.filing import jobs_in
from stickers.annotation.store.people import Person
from stickers.annotation.store.seats import Answer, give, take
from stickers.annotation.store.votes import VoteStore
from tests.support.choosing import GOOD, do, kept, work
from tests.support.clips import BY_ID, ROWS, candidate


def test_survivors_go_to_the_expert_in_full_jobs_and_then_the_rest(store: VoteStore) -> None:
    all_ids = {row.candidate_id for row in ROWS}
    for name in ("ann", "bob"):
        work(store, name, all_ids)
    work(store, "cid", all_ids, most=2)
    assert do(store, lambda connection: advance(connection, BY_ID)) == 2, "twelve clips are judged, six a job"
    assert do(store, lambda connection: advance(connection, BY_ID)) == 0
    work(store, "cid", all_ids)
    assert do(store, lambda connection: advance(connection, BY_ID)) == 2
    assert work(store, "eve") == 4 and kept(store) == GOOD


def test_the_last_clips_of_a_round_go_on_in_a_job_that_is_not_full(store: VoteStore) -> None:
    for name in ("ann", "bob"):
        work(store, name)
    assert do(store, lambda connection: advance(connection, BY_ID)) == 0, "two of three have judged"
    work(store, "cid")
    assert do(store, lambda connection: advance(connection, BY_ID)) == 1
    assert len(GOOD) == 6 and work(store, "eve") == 1 and kept(store) == GOOD


def test_the_number_of_people_changes_midway(store: VoteStore) -> None:
    work(store, "ann")
    work(store, "bob")

    def people(count: int, quorum: int) -> None:
        first = {"role": "annotator", "people": count, "quorum": quorum}
        last = {"role": "expert", "people": 1, "quorum": 1}
        do(store, lambda connection: change_settings(connection, {"rounds": [first, last]}, "lea"))

    people(2, 2)
    assert work(store, "cid") == 0 and len(store.all()) == 8
    people(4, 3)
    assert work(store, "cid") == work(store, "dan") == 4 and len(store.all()) == 16
    counts = do(store, lambda connection: connection.execute(select(seats.c.job_id)).scalars().all())
    assert Counter(Counter(counts).values()) == {4: 4}
    with pytest.raises(ValueError, match="round 1: quorum must be from 1 to 2, got 3"):
        people(2, 3)


def test_a_new_store_takes_the_settings_of_the_project_and_keeps_what_a_lead_changes(url: str) -> None:
    of_project = Settings(clips_per_job=4, rounds=(RoundSettings(role="annotator", people=2, quorum=1),))
    with VoteStore(url) as store:
        assert do(store, lambda connection: begin_settings(connection, of_project, "lea"))
        assert do(store, rounds.read_settings) == of_project
        assert not do(store, lambda connection: begin_settings(connection, Settings(), "lea"))
        do(store, lambda connection: change_settings(connection, {"clips_per_job": 5}, "lea"))
        assert not do(store, lambda connection: begin_settings(connection, of_project, "lea"))
        assert do(store, rounds.read_settings).clips_per_job == 5


def test_a_store_that_people_have_begun_with_keeps_its_defaults(store: VoteStore) -> None:
    assert not do(store, lambda connection: begin_settings(connection, Settings(clips_per_job=4), "lea"))
    assert do(store, rounds.read_settings) == Settings()


def test_one_who_is_interrupted_by_fewer_seats_is_told_and_no_one_is_extra(store: VoteStore) -> None:
    ann = Person(name="ann", role="annotator")
    lease = do(store, lambda connection: take(connection, ann, rounds.read_settings(connection)))
    assert lease
    work(store, "bob")
    one = {"rounds": [{"role": "annotator", "people": 1, "quorum": 1}]}
    do(store, lambda connection: change_settings(connection, one, "lea"))
    with pytest.raises(ValueError, match="is not yours"):
        do(store, lambda connection: give(connection, ann, lease.job.job_id, Answer()))
    assert {vote.annotator for vote in store.all()} == {"bob"}


def test_the_size_of_jobs_changes_for_those_that_nobody_has_begun(store: VoteStore) -> None:
    work(store, "ann", most=1)
    do(store, lambda connection: change_settings(connection, {"clips_per_job": 4}, "lea"))
    assert do(store, lambda connection: rebuild(connection, ROWS, "plan", "lea")) == 5
    jobs = do(store, lambda connection: jobs_in(connection, "plan"))
    assert sorted(len(job.candidates) for job in jobs) == [2, 4, 4, 4, 4, 6]
    assert Counter(name for job in jobs for name in job.candidates) == dict.fromkeys(BY_ID, 1)
    for name in ("ann", "bob", "cid"):
        work(store, name)
    assert len(store.all()) == 18 and do(store, lambda connection: advance(connection, BY_ID)) > 0


def test_a_changed_candidate_set_extends_the_queue(store: VoteStore) -> None:
    work(store, "ann", most=1)
    judged = set(store.all()[0].shown)
    others = {row.candidate_id for row in ROWS} - judged
    redone = sorted(others)[0]
    rows = [replace(row, clip_digest="new") if row.candidate_id == redone else row for row in ROWS]
    rows += [candidate("a hen", 0, "w", seed) for seed in range(3)]
    num_new = do(store, lambda c: open_plan(c, "plan2", "/plan2", rows, supersedes="plan", by="lea"))
    jobs = do(store, jobs_in)
    clips = [clip for job in jobs for clip in job.clips]
    assert num_new >= 1 and len(clips) == len(set(clips)) == len(rows), "every clip there is asked for once"
    assert (redone, "new") in clips and (redone, BY_ID[redone].clip_digest) not in clips
    assert (
        store.all()[0].shown
        and do(store, lambda c: open_plan(c, "plan2", "/plan2", rows, supersedes="plan", by="lea")) == 0
    )


def test_retired_votes_count_no_more_and_come_back(store: VoteStore) -> None:
    for name in ("ann", "bob", "cid"):
        work(store, name)
    do(store, lambda connection: retire(connection, "cid", retired=True, by="lea", reason="asleep"))
    assert len(store.all()) == 8 and work(store, "dan") == 4 and len(store.all()) == 12
    with pytest.raises(ValueError, match="say why"):
        do(store, lambda connection: retire(connection, "cid", retired=False, by="lea", reason=" "))
    do(store, lambda connection: retire(connection, "cid", retired=False, by="lea", reason="awake"))
    assert len(store.all()) == 16 and len(store.all(retired=True)) == 16


def test_a_plan_that_is_closed_asks_for_nothing_and_opened_again_for_the_rest(store: VoteStore) -> None:
    work(store, "ann", most=1)
    do(store, lambda connection: close_plan(connection, "plan", "lea"))
    assert not work(store, "ann") and not work(store, "bob")
    assert do(store, lambda connection: open_plan(connection, "plan", "/plan", ROWS, by="lea")) == 0
    assert [work(store, name) for name in ("ann", "bob", "cid", "dan")] == [3, 4, 4, 0]


def test_few_survivors_wait_while_the_round_is_open(store: VoteStore) -> None:
    """They are too few for a full job, and others may follow."""
    for name in ("ann", "bob", "cid"):
        work(store, name, GOOD, most=1)
    assert do(store, lambda connection: advance(connection, BY_ID)) == 0
