"""The bare store must do the same work as the service, or comparing their pace says nothing."""

from pathlib import Path

from experiments.trials.commits import LEASE_SECONDS, PEOPLE_PER_JOB, bare_rates, prepare
from stickers.annotation.store.filing import jobs_in
from stickers.annotation.store.people import people_in
from stickers.annotation.store.votes import VoteStore


def test_a_prepared_store_has_the_jobs_and_the_people(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/votes.db"
    tokens = prepare(url, 3, 2, LEASE_SECONDS)
    assert sorted(tokens) == ["simulated-00", "simulated-01"]
    with VoteStore(url) as store:
        assert len(store.read(jobs_in)) == 3
        assert all(person.simulated for person in store.read(people_in))


def test_bare_commits_store_votes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bare.db"
    rates = bare_rates(url, 0.05)
    assert len(rates) == 3 and all(rate > 0 for rate in rates.values())
    with VoteStore(url) as store:
        votes = store.all()
    assert {vote.plan_id for vote in votes} == {"bare", "crowd"}
    assert all(vote.simulated for vote in votes) and PEOPLE_PER_JOB == 3
