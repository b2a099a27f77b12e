"""Clips move through the rounds, candidate sets change, leads decide, models order: no vote is ever lost by it."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
import pytest
from sqlalchemy import Connection, select

from stickers.annotation import ordering, rounds
from stickers.annotation.jobs import GOLD, RULING, Job
from stickers.annotation.kept import kept_rows
from stickers.annotation.rounds import (
    advance,
    agreed,
    balanced,
    change_settings,
    close_plan,
    import_jobs,
    import_votes,
    next_ruling,
    open_plan,
    plant_gold,
    read_settings,
    rebuild,
    retire,
)
from stickers.annotation.settings import Settings
from stickers.annotation.store.database import seats
from stickers.annotation.store.filing import jobs_in
from stickers.annotation.store.people import Person, add_person
from stickers.annotation.store.seats import Answer, Lease, give, take
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import Candidate, Vote
from tests.support.clips import BY_ID, ROWS, candidate

T = TypeVar("T")
PEOPLE = {
    "ann": "annotator",
    "bob": "annotator",
    "cid": "annotator",
    "dan": "annotator",
    "eve": "expert",
    "lea": "lead",
}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
GOOD = {row.candidate_id for row in ROWS if row.teacher == "w"}


@pytest.fixture
def there(url: str) -> Iterator[VoteStore]:
    """A store with one plan of four jobs, and people."""
    with VoteStore(url) as store:
        for name, role in PEOPLE.items():
            do(store, lambda connection, name=name, role=role: add_person(connection, name, role))
        assert do(store, lambda connection: open_plan(connection, "plan", "/plan", ROWS, by="lea")) == 4
        yield store


def do(there: VoteStore, work: Callable[[Connection], T]) -> T:
    return there.write(work).result()


def work(there: VoteStore, name: str, good: set[str] = GOOD, most: int = 1000) -> int:
    """One person answers what there is for them."""
    person, count = Person(name=name, role=PEOPLE[name]), 0  # type: ignore[arg-type]
    while count < most:
        now = do(there, read_settings)
        lease = do(there, lambda connection, now=now: take(connection, person, now))
        if lease is None:
            break
        picks = [each for each in lease.job.candidates if each in good]
        do(
            there,
            lambda connection, lease=lease, picks=picks: give(
                connection, person, lease.job.job_id, Answer(picks=picks)
            ),
        )
        count += 1
    return count


def kept(there: VoteStore, rows: list[Candidate] = ROWS) -> set[str]:
    return {row.candidate_id for row in kept_rows(rows, there.all(), do(there, read_settings))}


def test_survivors_go_to_the_expert_in_full_jobs_and_then_the_rest(there: VoteStore) -> None:
    every = {row.candidate_id for row in ROWS}
    for name in ("ann", "bob"):
        work(there, name, every)
    work(there, "cid", every, most=2)
    assert do(there, lambda connection: advance(connection, BY_ID)) == 2, "twelve clips are judged, six a job"
    assert do(there, lambda connection: advance(connection, BY_ID)) == 0
    work(there, "cid", every)
    assert do(there, lambda connection: advance(connection, BY_ID)) == 2
    assert work(there, "eve") == 4 and kept(there) == GOOD


def test_the_last_clips_of_a_round_go_on_in_a_job_that_is_not_full(there: VoteStore) -> None:
    for name in ("ann", "bob"):
        work(there, name)
    assert do(there, lambda connection: advance(connection, BY_ID)) == 0, "two of three have judged"
    work(there, "cid")
    assert do(there, lambda connection: advance(connection, BY_ID)) == 1
    assert len(GOOD) == 6 and work(there, "eve") == 1 and kept(there) == GOOD


def test_the_number_of_people_changes_midway(there: VoteStore) -> None:
    work(there, "ann")
    work(there, "bob")

    def people(count: int, quorum: int) -> None:
        first = {"role": "annotator", "people": count, "quorum": quorum}
        last = {"role": "expert", "people": 1, "quorum": 1}
        do(there, lambda connection: change_settings(connection, {"rounds": [first, last]}, "lea"))

    people(2, 2)
    assert work(there, "cid") == 0 and len(there.all()) == 8
    people(4, 3)
    assert work(there, "cid") == work(there, "dan") == 4 and len(there.all()) == 16
    counts = do(there, lambda connection: connection.execute(select(seats.c.job_id)).scalars().all())
    assert Counter(Counter(counts).values()) == {4: 4}
    with pytest.raises(ValueError, match="round 1: quorum must be from 1 to 2, got 3"):
        people(2, 3)


def test_one_who_is_interrupted_by_fewer_seats_is_told_and_no_one_is_extra(there: VoteStore) -> None:
    ann = Person(name="ann", role="annotator")
    lease = do(there, lambda connection: take(connection, ann, rounds.read_settings(connection)))
    assert lease
    work(there, "bob")
    one = {"rounds": [{"role": "annotator", "people": 1, "quorum": 1}]}
    do(there, lambda connection: change_settings(connection, one, "lea"))
    with pytest.raises(ValueError, match="is not yours"):
        do(there, lambda connection: give(connection, ann, lease.job.job_id, Answer()))
    assert {vote.annotator for vote in there.all()} == {"bob"}


def test_the_size_of_jobs_changes_for_those_that_nobody_has_begun(there: VoteStore) -> None:
    work(there, "ann", most=1)
    do(there, lambda connection: change_settings(connection, {"clips_per_job": 4}, "lea"))
    assert do(there, lambda connection: rebuild(connection, ROWS, "plan", "lea")) == 5
    jobs = do(there, lambda connection: jobs_in(connection, "plan"))
    assert sorted(len(job.candidates) for job in jobs) == [2, 4, 4, 4, 4, 6]
    assert Counter(name for job in jobs for name in job.candidates) == dict.fromkeys(BY_ID, 1)
    for name in ("ann", "bob", "cid"):
        work(there, name)
    assert len(there.all()) == 18 and do(there, lambda connection: advance(connection, BY_ID)) > 0


def test_a_changed_candidate_set_extends_the_queue(there: VoteStore) -> None:
    work(there, "ann", most=1)
    judged = set(there.all()[0].shown)
    begun_too = {row.candidate_id for row in ROWS} - judged
    redone = sorted(begun_too)[0]
    rows = [replace(row, clip_digest="new") if row.candidate_id == redone else row for row in ROWS]
    rows += [candidate("a hen", 0, "w", seed) for seed in range(3)]
    made = do(there, lambda c: open_plan(c, "plan2", "/plan2", rows, supersedes="plan", by="lea"))
    jobs = do(there, jobs_in)
    clips = [clip for job in jobs for clip in job.clips]
    assert made >= 1 and len(clips) == len(set(clips)) == len(rows), "every clip there is asked for once"
    assert (redone, "new") in clips and (redone, BY_ID[redone].clip_digest) not in clips
    assert (
        there.all()[0].shown
        and do(there, lambda c: open_plan(c, "plan2", "/plan2", rows, supersedes="plan", by="lea")) == 0
    )


def test_retired_votes_count_no_more_and_come_back(there: VoteStore) -> None:
    for name in ("ann", "bob", "cid"):
        work(there, name)
    do(there, lambda connection: retire(connection, "cid", retired=True, by="lea", reason="asleep"))
    assert len(there.all()) == 8 and work(there, "dan") == 4 and len(there.all()) == 12
    with pytest.raises(ValueError, match="say why"):
        do(there, lambda connection: retire(connection, "cid", retired=False, by="lea", reason=" "))
    do(there, lambda connection: retire(connection, "cid", retired=False, by="lea", reason="awake"))
    assert len(there.all()) == 16 and len(there.all(retired=True)) == 16


def test_a_plan_that_is_closed_asks_for_nothing_and_opened_again_for_the_rest(there: VoteStore) -> None:
    work(there, "ann", most=1)
    do(there, lambda connection: close_plan(connection, "plan", "lea"))
    assert not work(there, "ann") and not work(there, "bob")
    assert do(there, lambda connection: open_plan(connection, "plan", "/plan", ROWS, by="lea")) == 0
    assert [work(there, name) for name in ("ann", "bob", "cid", "dan")] == [3, 4, 4, 0]


def test_votes_from_elsewhere_fill_seats_also_of_who_has_the_job_before_them(there: VoteStore) -> None:
    ann = Person(name="ann", role="annotator")
    job = got(do(there, lambda connection: take(connection, ann, Settings()))).job
    long = "somebody of a name that is longer than anybody here may be called at all"
    cast = [vote_on(job, "ann"), vote_on(job, long)]
    for new in (2, 0):
        assert do(there, lambda connection: import_votes(connection, cast)) == (new, [])
        assert work(there, "ann") == (3 if new else 0)
    assert work(there, "bob") == 4 and work(there, "cid") == 3 and work(there, "dan") == 0


def vote_on(job: Job, name: str) -> Vote:
    return Vote(
        job_id=job.job_id, annotator=name, round=1, plan_id="plan", shown=list(job.candidates),
        shown_digests=list(job.digests), picks=[], started_at=NOON, submitted_at=NOON, simulated=True,
    )  # fmt: skip


def got(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def test_a_lead_decides_what_others_disagree_about(there: VoteStore) -> None:
    name = ROWS[0].candidate_id
    assert name in GOOD
    work(there, "ann")
    work(there, "bob", GOOD - {name})
    work(there, "cid", GOOD - {name})
    lea = Person(name="lea", role="lead")
    found = do(there, lambda connection: next_ruling(connection, lea, BY_ID))
    assert found and found[0].job.kind == RULING and found[0].job.candidates == (name,)
    said = found[1][name]
    assert (said.yes, said.no, said.survives) == (1, 2, False)
    again = do(there, lambda connection: next_ruling(connection, lea, BY_ID))
    assert again and again[0].job.job_id == found[0].job.job_id, "a reloaded page goes on with it"
    mine = [found[0].job.job_id]
    assert do(there, lambda connection: next_ruling(connection, lea, BY_ID, mine)) is None
    do(there, lambda connection: give(connection, lea, found[0].job.job_id, Answer(picks=[name])))
    assert do(there, lambda connection: next_ruling(connection, lea, BY_ID)) is None
    do(there, lambda connection: advance(connection, BY_ID))
    work(there, "eve")
    assert kept(there) == GOOD


def test_gold_is_made_of_what_everybody_agrees_on(there: VoteStore) -> None:
    for name in ("ann", "bob", "cid"):
        work(there, name)
    do(there, lambda connection: advance(connection, BY_ID))
    work(there, "eve")
    known = agreed(there.all(), do(there, read_settings))
    assert {name for name, share in known.items() if share} == GOOD and len(known) == len(ROWS)
    some = balanced(known, 8)
    assert len(some) == 8 and sum(some.values()) == 4
    assert do(there, lambda connection: plant_gold(connection, "plan", some, BY_ID, "lea")) == 2
    assert do(there, lambda connection: plant_gold(connection, "plan", some, BY_ID, "lea")) == 0
    with pytest.raises(ValueError, match="is not one of plan"):
        do(there, lambda connection: plant_gold(connection, "plan", {"zz": True}, BY_ID, "lea"))
    do(there, lambda connection: change_settings(connection, {"gold_rate": 0.5}, "lea"))
    for _ in range(100):
        work(there, "dan")
    votes = [vote for vote in there.all() if vote.kind == GOLD]
    assert len(votes) == 2 and {vote.annotator for vote in votes} == {"dan"} and kept(there) == GOOD


def test_jobs_and_votes_come_in_from_files(there: VoteStore, url: str) -> None:
    for name in ("ann", "bob"):
        work(there, name)
    jobs, votes = do(there, jobs_in), there.all()
    do(there, lambda connection: change_settings(connection, {"gold_rate": 0.0}, "lea"))
    assert do(there, lambda connection: import_jobs(connection, jobs)) == 0
    assert do(there, lambda connection: import_votes(connection, votes)) == (0, [])
    elsewhere = [replace(vote, annotator="zoe") for vote in votes if vote.annotator == "ann"]
    clash = replace(votes[0], picks=[] if votes[0].picks else votes[0].shown[:1])
    made, refused = do(there, lambda connection: import_votes(connection, [*elsewhere, clash]))
    assert made == 4 and len(refused) == 1 and "otherwise" in refused[0][1]
    assert work(there, "cid") == 0, "three people have answered each job"


def test_likely_keepers_come_first_and_the_audit_says_what_is_left(url: str) -> None:
    dice = np.random.default_rng(0)
    rows = []
    for number in range(60):
        for seed in range(6):
            motion = float(dice.uniform(0, 20))
            measures = dict.fromkeys(("moving", "reversal", "pulse", "border", "saturated", "visible"), 0.5)
            rows.append(replace(candidate(f"prompt {number:02d}", 0, "t", seed, motion), **measures))
    by_id = {row.candidate_id: row for row in rows}
    good = {row.candidate_id for row in rows if (row.motion_score or 0) > 14}
    one = {"rounds": [{"role": "annotator", "people": 1, "quorum": 1}], "ordering": "model"}
    with VoteStore(url) as there:
        do(there, lambda connection: open_plan(connection, "plan", "/plan", rows, by="lea"))
        do(there, lambda connection: change_settings(connection, one, "lea"))
        work(there, "ann", good, most=20)
        assert "a model needs 200" in do(there, lambda c: ordering.arrange(c, by_id, "lea"))
        work(there, "ann", good, most=20)
        said = do(there, lambda connection: ordering.arrange(connection, by_id, "lea"))
        assert "20 jobs by a model of 240 decided clips" in said
        lasting = [len(good & set(vote.shown)) for vote in there.all() if work and vote.revision == 0]
        before = {vote.job_id for vote in there.all()}
        work(there, "bob", good)
        order = sorted((v for v in there.all() if v.job_id not in before), key=lambda v: v.submitted_at)
        counts = [len(good & set(vote.shown)) for vote in order]
        assert len(counts) == 20 and sum(lasting) + sum(counts) == len(good)
        assert sum(counts[:10]) > sum(counts[10:]), "likely keepers first"
        found = there.read(lambda c: ordering.help_of(c, there.all(), rounds.read_settings(c)))
        assert (
            found
            and found["auc"] > 0.9
            and found["audit"]["judged"] == 2
            and found["audit"]["missed_share"] == 0
        )
        do(there, lambda connection: change_settings(connection, {"ordering": "queue"}, "lea"))
        assert "in which they joined" in do(there, lambda c: ordering.arrange(c, by_id, "lea"))
