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
from stickers.annotation.store.votes import Conflict, VoteStore
from tests.support.clips import ROWS, candidate

T = TypeVar("T")
NOW = Settings()
ANN, BOB, CID, DAN = (Person(name=name, role="annotator") for name in ("ann", "bob", "cid", "dan"))


@pytest.fixture
def there(url: str) -> Iterator[VoteStore]:
    """A store with four jobs of six clips, each for three people."""
    with VoteStore(url) as store:
        jobs = build_jobs(ROWS, plan_id="plan", round=1)
        assert do(store, lambda connection: add_jobs(connection, jobs, 3)) == 4
        yield store


def do(there: VoteStore, work: Callable[[Connection], T]) -> T:
    return there.write(work).result()


def ask(there: VoteStore, person: Person, *have: str, now: Settings = NOW) -> Lease | None:
    return do(there, lambda connection: take(connection, person, now, have))


def say(there: VoteStore, person: Person, job_id: str, *picks: str, **more: Any) -> Any:
    return do(there, lambda connection: give(connection, person, job_id, Answer(picks=picks, **more)))


def got(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def run_out(there: VoteStore, person: Person) -> None:
    """Let the leases of a person end now."""
    late = update(seats_table).where(seats_table.c.holder == person.name).values(expires_at=time.time() - 1)
    do(there, lambda connection: connection.execute(late))


def test_three_people_answer_each_job_and_nobody_twice(there: VoteStore) -> None:
    for person in (ANN, BOB, CID):
        for _ in range(4):
            lease = got(ask(there, person))
            say(there, person, lease.job.job_id, lease.job.candidates[0])
        assert ask(there, person) is None
    assert ask(there, DAN) is None
    votes = there.all(plan_id="plan")
    assert Counter(vote.job_id for vote in votes) == dict.fromkeys({vote.job_id for vote in votes}, 3)
    assert len(votes) == len({(vote.job_id, vote.annotator) for vote in votes}) == 12


def test_what_is_before_a_person_stays_theirs_over_a_reload(there: VoteStore) -> None:
    first = got(ask(there, ANN)).job.job_id
    assert got(ask(there, ANN)).job.job_id == first
    second = got(ask(there, ANN, first)).job.job_id
    assert second != first and got(ask(there, ANN, first)).job.job_id == second


def test_everyone_sees_an_order_of_their_own_and_the_vote_says_which(there: VoteStore) -> None:
    jobs = {person: got(ask(there, person)).job for person in (ANN, BOB, CID)}
    assert len(set(jobs.values())) == 1
    orders = {person: tuple(job.order_for(person.name)) for person, job in jobs.items()}
    assert len(set(orders.values())) == 3
    vote = say(there, ANN, jobs[ANN].job_id, jobs[ANN].candidates[2])
    assert vote.shown == [jobs[ANN].candidates[place] for place in orders[ANN]]
    assert vote.shown_digests == [jobs[ANN].digests[place] for place in orders[ANN]]


def test_a_lease_that_runs_out_goes_to_another_and_only_then(there: VoteStore) -> None:
    two = Settings(rounds=(RoundSettings(role="annotator", people=1, quorum=1),))
    do(
        there,
        lambda connection: connection.execute(
            update(seats_table).where(seats_table.c.seat > 0).values(answered=True)
        ),
    )
    mine = [got(ask(there, ANN, now=two)).job.job_id]
    mine.append(got(ask(there, ANN, *mine)).job.job_id)
    assert got(ask(there, BOB)).job.job_id not in mine
    run_out(there, ANN)
    say(there, ANN, mine[1])  # late, but nobody has taken it
    run_out(there, ANN)
    taken = got(ask(there, CID)).job.job_id
    assert taken == mine[0]
    with pytest.raises(Conflict, match="ran out"):
        say(there, ANN, mine[0])
    say(there, CID, taken)
    assert [vote.annotator for vote in there.all() if vote.job_id == taken] == ["cid"]


def test_answers_are_idempotent_ordered_and_one_s_own(there: VoteStore) -> None:
    job = got(ask(there, ANN)).job
    name = job.candidates[0]
    first = say(there, ANN, job.job_id, name)
    say(there, ANN, job.job_id, name)
    with pytest.raises(Conflict, match="otherwise"):
        say(there, ANN, job.job_id)
    with pytest.raises(Conflict, match="revision 3 where 1"):
        say(there, ANN, job.job_id, revision=3)
    say(there, ANN, job.job_id, revision=1, flags={name: "unsafe"})
    for stranger in (BOB, Person(name="eve", role="expert")):
        with pytest.raises(Conflict, match="is not yours"):
            say(there, stranger, job.job_id, name)
    with pytest.raises(ValueError, match="does not show the clip 'zz'"):
        say(there, ANN, job.job_id, "zz", revision=2)
    (vote,) = there.all()
    assert (vote.picks, vote.flagged, vote.flags, vote.revision) == ([], [name], ["unsafe"], 1)
    assert first.revision == 0
    back = got(do(there, lambda connection: recall(connection, ANN, job.job_id)))
    assert back.revision == 1 and back.answer == vote
    assert do(there, lambda connection: recall(connection, BOB, job.job_id)) is None
    assert do(there, lambda connection: seats.history(connection, "ann")) == [job.job_id]


def test_a_skipped_job_goes_to_others_and_never_comes_back(there: VoteStore) -> None:
    job = got(ask(there, ANN)).job.job_id
    do(there, lambda connection: skip(connection, ANN, job, "I know who made these"))
    do(there, lambda connection: skip(connection, ANN, job, "again"))
    with pytest.raises(Conflict, match="cannot be skipped"):
        do(there, lambda connection: skip(connection, BOB, job, "not mine"))
    seen = set()
    while lease := ask(there, ANN):
        seen.add(lease.job.job_id)
        say(there, ANN, lease.job.job_id)
    assert job not in seen and len(seen) == 3
    assert all(got(ask(there, person)).job.job_id == job for person in (BOB, CID, DAN))


def test_released_jobs_are_free_at_once(there: VoteStore) -> None:
    mine = {got(ask(there, ANN)).job.job_id}
    mine.add(got(ask(there, ANN, *mine)).job.job_id)
    assert do(there, lambda connection: seats.release(connection, "ann", "lea")) == 2
    for person in (BOB, CID, DAN):
        assert got(ask(there, person)).job.job_id in mine


def test_gold_is_for_everyone_once_and_looks_like_the_rest(there: VoteStore) -> None:
    rows = [candidate("a gold cat", i, t) for i in (0, 1) for t in "abc"]
    gold = build_jobs(rows, plan_id="plan", round=1, kind="gold")
    right = {gold[0].job_id: [rows[0].candidate_id]}
    do(there, lambda connection: add_jobs(connection, gold, 0, right=right))
    often = Settings(gold_rate=0.5)
    for person in (ANN, BOB, CID, DAN, Person(name="fay", role="annotator")):
        seen = []
        while lease := ask(there, person, now=often):
            seen.append(lease.job.job_id)
            say(there, person, lease.job.job_id)
        for _ in range(200):  # while nothing else is left, gold may still come
            if lease := ask(there, person, now=often):
                seen.append(lease.job.job_id)
                say(there, person, lease.job.job_id)
        assert seen.count(gold[0].job_id) == 1
    kinds = Counter(vote.kind for vote in there.all())
    assert kinds == {"choose": 12, "gold": 5}


def test_a_pause_gives_no_new_jobs_and_takes_answers(there: VoteStore) -> None:
    job = got(ask(there, ANN)).job.job_id
    paused = Settings(paused=True)
    assert ask(there, BOB, now=paused) is None and got(ask(there, ANN, now=paused)).job.job_id == job
    say(there, ANN, job)


def test_many_at_once_get_what_they_need_and_no_more(url: str) -> None:
    """Two servers over one database, twenty people asking and answering as fast as they can."""
    rows = [candidate(f"prompt {i}", 0, "t", j) for i in range(20) for j in range(6)]
    crowd = [Person(name=f"person {i}", role="annotator") for i in range(20)]
    with VoteStore(url) as one, VoteStore(url) as other:
        do(one, lambda connection: add_jobs(connection, build_jobs(rows, plan_id="p", round=1), 3))

        def work(number: int) -> int:
            there, person, count = (one, other)[number % 2], crowd[number], 0
            lease = ask(there, person)
            while lease:
                _, lease = there.write_along(submit, wish(person, lease.job)).result()
                count += 1
            return count

        with ThreadPoolExecutor(20) as pool:
            assert sum(pool.map(work, range(20))) == 60
        votes = one.all()
    assert Counter(Counter(vote.job_id for vote in votes).values()) == {3: 20}
    assert len({(vote.job_id, vote.annotator) for vote in votes}) == 60


def test_two_tabs_of_one_person_hold_two_jobs(there: VoteStore) -> None:
    do(there, lambda connection: add_person(connection, "ann", "annotator"))
    with ThreadPoolExecutor(8) as pool:
        leases = list(pool.map(lambda _: got(ask(there, ANN)).job.job_id, range(8)))
    assert len(set(leases)) == 1


def test_answers_that_arrive_together_are_taken_as_if_one_by_one(there: VoteStore) -> None:
    crowd = (ANN, BOB, CID)
    first = {person: got(ask(there, person)).job for person in crowd}
    assert len(set(first.values())) == 1
    wishes = [wish(person, job) for person, job in first.items()]
    both = do(there, lambda connection: submit(connection, wishes))
    assert [vote.annotator for vote, _ in both] == ["ann", "bob", "cid"]
    assert all(list(vote.picks) == [first[ANN].candidates[0]] for vote, _ in both)
    following = {got(lease).job.job_id for _, lease in both}
    assert len(following) == 1 and first[ANN].job_id not in following
    # the same again, twice of one person, changes nothing
    again = do(there, lambda connection: submit(connection, [*wishes, wishes[0]]))
    assert {got(lease).job.job_id for _, lease in again} == following
    assert len(there.all()) == 3


def test_who_has_no_right_to_answer_spoils_nobody_else_s(there: VoteStore) -> None:
    jobs = {person: got(ask(there, person)).job for person in (ANN, BOB)}
    wishes = [wish(ANN, jobs[ANN]), wish(DAN, jobs[ANN]), wish(BOB, jobs[BOB])]
    with pytest.raises(Conflict, match="not yours"):
        do(there, lambda connection: submit(connection, wishes))
    assert there.all() == []
    ann, dan, bob = [there.write_along(submit, each) for each in wishes]
    with pytest.raises(Conflict, match="not yours"):
        dan.result()
    assert [done.result()[0].annotator for done in (ann, bob)] == ["ann", "bob"]
    assert sorted(vote.annotator for vote in there.all()) == ["ann", "bob"]


def test_a_seat_that_ran_out_is_one_person_s_also_among_answers_that_arrive_together(
    there: VoteStore,
) -> None:
    do(there, lambda connection: connection.execute(delete(seats_table).where(seats_table.c.seat > 0)))
    lost = got(ask(there, ANN)).job.job_id
    mine = got(ask(there, ANN, lost)).job
    his = got(ask(there, BOB)).job
    run_out(there, ANN)
    both = do(there, lambda connection: submit(connection, [wish(BOB, his), wish(ANN, mine)]))
    taken = [got(lease).job.job_id for _, lease in both]
    assert taken[0] == lost and taken[1] != lost
    for person, job_id in zip((BOB, ANN), taken, strict=True):
        say(there, person, job_id)


def wish(person: Person, job: Job) -> Submission:
    return Submission(person=person, settings=NOW, job_id=job.job_id, answer=Answer(picks=job.candidates[:1]))
