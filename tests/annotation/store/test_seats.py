"""Each job goes to exactly as many people as it needs, whoever asks at once, walks away or comes back."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, delete, update

from stickers.annotation.jobs import Job, build_jobs
from stickers.annotation.settings import RoundSettings, Settings
from stickers.annotation.store import seats
from stickers.annotation.store.database import seats as seats_table
from stickers.annotation.store.filing import add_jobs
from stickers.annotation.store.people import Person, add_person
from stickers.annotation.store.seats import Answer, Lease, Submission, give, recall, skip, submit, take
from stickers.annotation.store.votes import ConflictError, VoteStore
from tests.support.clips import ROWS, candidate

T = TypeVar("T")
NOW = Settings()
ANN, BOB, CID, DAN = (Person(name=name, role="annotator") for name in ("ann", "bob", "cid", "dan"))


@pytest.fixture
def store(url: str) -> Iterator[VoteStore]:
    """A store with four jobs of six clips, each for three people."""
    with VoteStore(url) as store:
        jobs = build_jobs(ROWS, plan_id="plan", round_number=1)
        assert do(store, lambda connection: add_jobs(connection, jobs, 3)) == 4
        yield store


def do(store: VoteStore, work: Callable[[Connection], T]) -> T:
    return store.write(work).result()


def take_job(store: VoteStore, person: Person, *have: str, now: Settings = NOW) -> Lease | None:
    return do(store, lambda connection: take(connection, person, now, have))


def send(store: VoteStore, person: Person, job_id: str, *picks: str, **more: Any) -> Any:
    return do(store, lambda connection: give(connection, person, job_id, Answer(picks=picks, **more)))


def require(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def expire_leases(store: VoteStore, person: Person) -> None:
    """Let the leases of a person end now."""
    late = update(seats_table).where(seats_table.c.holder == person.name).values(expires_at=time.time() - 1)
    do(store, lambda connection: connection.execute(late))


def test_three_people_answer_each_job_and_nobody_twice(store: VoteStore) -> None:
    for person in (ANN, BOB, CID):
        for _ in range(4):
            lease = require(take_job(store, person))
            send(store, person, lease.job.job_id, lease.job.candidates[0])
        assert take_job(store, person) is None
    assert take_job(store, DAN) is None
    votes = store.all(plan_id="plan")
    assert Counter(vote.job_id for vote in votes) == dict.fromkeys({vote.job_id for vote in votes}, 3)
    assert len(votes) == len({(vote.job_id, vote.annotator) for vote in votes}) == 12


def test_what_is_before_a_person_stays_theirs_over_a_reload(store: VoteStore) -> None:
    first = require(take_job(store, ANN)).job.job_id
    assert require(take_job(store, ANN)).job.job_id == first
    second = require(take_job(store, ANN, first)).job.job_id
    assert second != first and require(take_job(store, ANN, first)).job.job_id == second


def test_everyone_sees_an_order_of_their_own_and_the_vote_says_which(store: VoteStore) -> None:
    jobs = {person: require(take_job(store, person)).job for person in (ANN, BOB, CID)}
    assert len(set(jobs.values())) == 1
    orders = {person: tuple(job.order_for(person.name)) for person, job in jobs.items()}
    assert len(set(orders.values())) == 3
    vote = send(store, ANN, jobs[ANN].job_id, jobs[ANN].candidates[2])
    assert vote.shown == [jobs[ANN].candidates[index] for index in orders[ANN]]
    assert vote.shown_digests == [jobs[ANN].digests[index] for index in orders[ANN]]


def test_a_lease_that_runs_out_goes_to_another_and_only_then(store: VoteStore) -> None:
    one_person = Settings(rounds=(RoundSettings(role="annotator", people=1, quorum=1),))
    do(
        store,
        lambda connection: connection.execute(
            update(seats_table).where(seats_table.c.seat > 0).values(answered=True)
        ),
    )
    job_ids = [require(take_job(store, ANN, now=one_person)).job.job_id]
    job_ids.append(require(take_job(store, ANN, *job_ids)).job.job_id)
    assert require(take_job(store, BOB)).job.job_id not in job_ids
    expire_leases(store, ANN)
    send(store, ANN, job_ids[1])  # late, but nobody has taken it
    expire_leases(store, ANN)
    taken = require(take_job(store, CID)).job.job_id
    assert taken == job_ids[0]
    with pytest.raises(ConflictError, match="ran out"):
        send(store, ANN, job_ids[0])
    send(store, CID, taken)
    assert [vote.annotator for vote in store.all() if vote.job_id == taken] == ["cid"]


def test_answers_are_idempotent_ordered_and_one_s_own(store: VoteStore) -> None:
    job = require(take_job(store, ANN)).job
    name = job.candidates[0]
    first = send(store, ANN, job.job_id, name)
    send(store, ANN, job.job_id, name)
    with pytest.raises(ConflictError, match="otherwise"):
        send(store, ANN, job.job_id)
    with pytest.raises(ConflictError, match="revision 3 where 1"):
        send(store, ANN, job.job_id, revision=3)
    send(store, ANN, job.job_id, revision=1, flags={name: "unsafe"})
    for stranger in (BOB, Person(name="eve", role="expert")):
        with pytest.raises(ConflictError, match="is not yours"):
            send(store, stranger, job.job_id, name)
    with pytest.raises(ValueError, match="does not show the clip 'zz'"):
        send(store, ANN, job.job_id, "zz", revision=2)
    (vote,) = store.all()
    assert (vote.picks, vote.flagged, vote.flags, vote.revision) == ([], [name], ["unsafe"], 1)
    assert first.revision == 0
    back = require(do(store, lambda connection: recall(connection, ANN, job.job_id)))
    assert back.revision == 1 and back.answer == vote
    assert do(store, lambda connection: recall(connection, BOB, job.job_id)) is None
    assert do(store, lambda connection: seats.history(connection, "ann")) == [job.job_id]


def test_a_skipped_job_goes_to_others_and_never_comes_back(store: VoteStore) -> None:
    job = require(take_job(store, ANN)).job.job_id
    do(store, lambda connection: skip(connection, ANN, job, "I know who made these"))
    do(store, lambda connection: skip(connection, ANN, job, "again"))
    with pytest.raises(ConflictError, match="not yours to skip"):
        do(store, lambda connection: skip(connection, BOB, job, "not mine"))
    taken_ids = set()
    while lease := take_job(store, ANN):
        taken_ids.add(lease.job.job_id)
        send(store, ANN, lease.job.job_id)
    assert job not in taken_ids and len(taken_ids) == 3
    assert all(require(take_job(store, person)).job.job_id == job for person in (BOB, CID, DAN))


def test_released_jobs_are_free_at_once(store: VoteStore) -> None:
    job_ids = {require(take_job(store, ANN)).job.job_id}
    job_ids.add(require(take_job(store, ANN, *job_ids)).job.job_id)
    assert do(store, lambda connection: seats.release(connection, "ann", "lea")) == 2
    for person in (BOB, CID, DAN):
        assert require(take_job(store, person)).job.job_id in job_ids


def test_gold_is_for_everyone_once_and_looks_like_the_rest(store: VoteStore) -> None:
    rows = [candidate("a gold cat", i, t) for i in (0, 1) for t in "abc"]
    gold = build_jobs(rows, plan_id="plan", round_number=1, kind="gold")
    right = {gold[0].job_id: [rows[0].candidate_id]}
    do(store, lambda connection: add_jobs(connection, gold, 0, right=right))
    half_gold = Settings(gold_rate=0.5)
    for person in (ANN, BOB, CID, DAN, Person(name="fay", role="annotator")):
        taken_ids = []
        while lease := take_job(store, person, now=half_gold):
            taken_ids.append(lease.job.job_id)
            send(store, person, lease.job.job_id)
        for _ in range(200):  # while nothing else is left, gold may still come
            if lease := take_job(store, person, now=half_gold):
                taken_ids.append(lease.job.job_id)
                send(store, person, lease.job.job_id)
        assert taken_ids.count(gold[0].job_id) == 1
    kinds = Counter(vote.kind for vote in store.all())
    assert kinds == {"choose": 12, "gold": 5}


def test_a_pause_gives_no_new_jobs_and_takes_answers(store: VoteStore) -> None:
    job = require(take_job(store, ANN)).job.job_id
    paused = Settings(paused=True)
    assert (
        take_job(store, BOB, now=paused) is None
        and require(take_job(store, ANN, now=paused)).job.job_id == job
    )
    send(store, ANN, job)


def test_many_at_once_get_what_they_need_and_no_more(url: str) -> None:
    """Two servers over one database, twenty people asking and answering as fast as they can."""
    rows = [candidate(f"prompt {i}", 0, "t", j) for i in range(20) for j in range(6)]
    people = [Person(name=f"person {i}", role="annotator") for i in range(20)]
    with VoteStore(url) as one, VoteStore(url) as other:
        do(one, lambda connection: add_jobs(connection, build_jobs(rows, plan_id="p", round_number=1), 3))

        def work(number: int) -> int:
            server, person, count = (one, other)[number % 2], people[number], 0
            lease = take_job(server, person)
            while lease:
                _, lease = server.write_along(submit, submission_of(person, lease.job)).result()
                count += 1
            return count

        with ThreadPoolExecutor(20) as pool:
            assert sum(pool.map(work, range(20))) == 60
        votes = one.all()
    assert Counter(Counter(vote.job_id for vote in votes).values()) == {3: 20}
    assert len({(vote.job_id, vote.annotator) for vote in votes}) == 60


def test_two_tabs_of_one_person_hold_two_jobs(store: VoteStore) -> None:
    do(store, lambda connection: add_person(connection, "ann", "annotator"))
    with ThreadPoolExecutor(8) as pool:
        leases = list(pool.map(lambda _: require(take_job(store, ANN)).job.job_id, range(8)))
    assert len(set(leases)) == 1


def test_answers_that_arrive_together_are_taken_as_if_one_by_one(store: VoteStore) -> None:
    people = (ANN, BOB, CID)
    first = {person: require(take_job(store, person)).job for person in people}
    assert len(set(first.values())) == 1
    submissions = [submission_of(person, job) for person, job in first.items()]
    results = do(store, lambda connection: submit(connection, submissions))
    assert [vote.annotator for vote, _ in results] == ["ann", "bob", "cid"]
    assert all(list(vote.picks) == [first[ANN].candidates[0]] for vote, _ in results)
    following = {require(lease).job.job_id for _, lease in results}
    assert len(following) == 1 and first[ANN].job_id not in following
    # the same again, twice of one person, changes nothing
    again = do(store, lambda connection: submit(connection, [*submissions, submissions[0]]))
    assert {require(lease).job.job_id for _, lease in again} == following
    assert len(store.all()) == 3


def test_who_has_no_right_to_answer_spoils_nobody_else_s(store: VoteStore) -> None:
    jobs = {person: require(take_job(store, person)).job for person in (ANN, BOB)}
    submissions = [
        submission_of(ANN, jobs[ANN]),
        submission_of(DAN, jobs[ANN]),
        submission_of(BOB, jobs[BOB]),
    ]
    with pytest.raises(ConflictError, match="not yours"):
        do(store, lambda connection: submit(connection, submissions))
    assert store.all() == []
    ann, dan, bob = [store.write_along(submit, submission) for submission in submissions]
    with pytest.raises(ConflictError, match="not yours"):
        dan.result()
    assert [done.result()[0].annotator for done in (ann, bob)] == ["ann", "bob"]
    assert sorted(vote.annotator for vote in store.all()) == ["ann", "bob"]


def test_a_seat_that_ran_out_is_one_person_s_also_among_answers_that_arrive_together(
    store: VoteStore,
) -> None:
    do(store, lambda connection: connection.execute(delete(seats_table).where(seats_table.c.seat > 0)))
    lost = require(take_job(store, ANN)).job.job_id
    job_of_ann = require(take_job(store, ANN, lost)).job
    job_of_bob = require(take_job(store, BOB)).job
    expire_leases(store, ANN)
    results = do(
        store,
        lambda connection: submit(
            connection, [submission_of(BOB, job_of_bob), submission_of(ANN, job_of_ann)]
        ),
    )
    taken = [require(lease).job.job_id for _, lease in results]
    assert taken[0] == lost and taken[1] != lost
    for person, job_id in zip((BOB, ANN), taken, strict=True):
        send(store, person, job_id)


def submission_of(person: Person, job: Job) -> Submission:
    return Submission(person=person, settings=NOW, job_id=job.job_id, answer=Answer(picks=job.candidates[:1]))
