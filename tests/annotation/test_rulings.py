"""A lead decides what others disagree about, and the decision counts."""

from stickers.annotation.jobs import RULING
from stickers.annotation.rounds import (
    advance,
)
from stickers.annotation.rulings import next_ruling
from stickers.annotation.store.people import Person
from stickers.annotation.store.seats import Answer, give
from stickers.annotation.store.votes import VoteStore
from tests.support.choosing import GOOD, do, kept, work
from tests.support.clips import BY_ID, ROWS


def test_a_lead_decides_what_others_disagree_about(store: VoteStore) -> None:
    name = ROWS[0].candidate_id
    assert name in GOOD
    work(store, "ann")
    work(store, "bob", GOOD - {name})
    work(store, "cid", GOOD - {name})
    lea = Person(name="lea", role="lead")
    ruling = do(store, lambda connection: next_ruling(connection, lea, BY_ID))
    assert ruling and ruling[0].job.kind == RULING and ruling[0].job.candidates == (name,)
    verdict = ruling[1][name]
    assert (verdict.yes, verdict.no, verdict.survives) == (1, 2, False)
    again = do(store, lambda connection: next_ruling(connection, lea, BY_ID))
    assert again and again[0].job.job_id == ruling[0].job.job_id, "a reloaded page goes on with it"
    held = [ruling[0].job.job_id]
    assert do(store, lambda connection: next_ruling(connection, lea, BY_ID, held)) is None
    do(store, lambda connection: give(connection, lea, ruling[0].job.job_id, Answer(picks=[name])))
    assert do(store, lambda connection: next_ruling(connection, lea, BY_ID)) is None
    do(store, lambda connection: advance(connection, BY_ID))
    work(store, "eve")
    assert kept(store) == GOOD
