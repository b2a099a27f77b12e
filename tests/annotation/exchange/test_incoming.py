"""What was answered elsewhere is not asked again."""

from dataclasses import replace

from stickers.annotation.exchange.incoming import import_jobs, import_votes
from stickers.annotation.jobs import Job
from stickers.annotation.rounds import (
    change_settings,
)
from stickers.annotation.settings import Settings
from stickers.annotation.store.filing import jobs_in
from stickers.annotation.store.people import Person
from stickers.annotation.store.seats import take
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import Vote
from tests.support.choosing import NOON, do, require, work


def test_votes_from_elsewhere_fill_seats_also_of_who_has_the_job_before_them(store: VoteStore) -> None:
    ann = Person(name="ann", role="annotator")
    job = require(do(store, lambda connection: take(connection, ann, Settings()))).job
    long = "somebody of a name that is longer than anybody here may be called at all"
    cast = [vote_on(job, "ann"), vote_on(job, long)]
    for new in (2, 0):
        assert do(store, lambda connection: import_votes(connection, cast)) == (new, [])
        assert work(store, "ann") == (3 if new else 0)
    assert work(store, "bob") == 4 and work(store, "cid") == 3 and work(store, "dan") == 0


def vote_on(job: Job, name: str) -> Vote:
    return Vote(
        job_id=job.job_id, annotator=name, round=1, plan_id="plan", shown=list(job.candidates),
        shown_digests=list(job.digests), picks=[], started_at=NOON, submitted_at=NOON, simulated=True,
    )  # fmt: skip


def test_jobs_and_votes_come_in_from_files(store: VoteStore, url: str) -> None:
    for name in ("ann", "bob"):
        work(store, name)
    jobs, votes = do(store, jobs_in), store.all()
    do(store, lambda connection: change_settings(connection, {"gold_rate": 0.0}, "lea"))
    assert do(store, lambda connection: import_jobs(connection, jobs)) == 0
    assert do(store, lambda connection: import_votes(connection, votes)) == (0, [])
    elsewhere = [replace(vote, annotator="zoe") for vote in votes if vote.annotator == "ann"]
    clash = replace(votes[0], picks=[] if votes[0].picks else votes[0].shown[:1])
    num_new, refused = do(store, lambda connection: import_votes(connection, [*elsewhere, clash]))
    assert num_new == 4 and len(refused) == 1 and "otherwise" in refused[0][1]
    assert work(store, "cid") == 0, "three people have answered each job"
