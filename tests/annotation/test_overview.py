"""The lead's page must add up: what is finished, what is missing, who did what, and what is kept."""

from pathlib import Path

import pytest

from stickers.annotation.overview import overview, trail
from stickers.annotation.rounds import advance, open_plan, retire
from stickers.annotation.store.people import add_person
from stickers.annotation.store.votes import VoteStore
from tests.support.choosing import GOOD, PEOPLE, do, work
from tests.support.clips import BY_ID, ROWS


@pytest.fixture
def store(tmp_path: Path) -> VoteStore:
    """A store with one plan of four jobs, and people."""
    votes = VoteStore(f"sqlite:///{tmp_path}/votes.db")
    for name, role in PEOPLE.items():
        do(votes, lambda connection, name=name, role=role: add_person(connection, name, role))
    do(votes, lambda connection: open_plan(connection, "plan", "/plan", ROWS, by="lea"))
    return votes


def test_rounds_people_and_keep_rates_add_up(store: VoteStore) -> None:
    for name in ("ann", "bob", "cid"):
        work(store, name)
    do(store, lambda connection: advance(connection, BY_ID))
    summary = store.read(lambda connection: overview(connection, BY_ID))
    first, second = summary["rounds"]
    assert (first["jobs"], first["finished"], first["answers"], first["wanted"]) == (4, 4, 12, 12)
    assert (first["judged"], first["survived"]) == (len(ROWS), len(GOOD)) and first["left_hours"] is not None
    assert (second["jobs"], second["finished"], second["answers"], second["wanted"]) == (1, 0, 0, 1)
    assert summary["agreement"][0]["percent"] == 1.0 and not summary["simulated"]
    people = {row["name"]: row for row in summary["people"]}
    assert people["ann"]["answers"] == 4 and people["ann"]["pick_rate"] == len(GOOD) / len(ROWS)
    assert people["eve"]["answers"] == 0 and people["eve"]["last_seen"] is None
    rates = {(row["teacher"], row["bucket"]): row for row in summary["keep_rates"]}
    assert sum(row["judged"] for row in rates.values()) == len(ROWS) - len(GOOD), (
        "survivors wait for the expert"
    )
    work(store, "eve")
    rates = store.read(lambda connection: overview(connection, BY_ID))["keep_rates"]
    assert sum(row["kept"] for row in rates) == len(GOOD)
    store.close()


def test_the_log_names_who_did_what(store: VoteStore) -> None:
    work(store, "ann")
    do(store, lambda connection: retire(connection, "ann", retired=True, by="lea", reason="asleep"))
    latest = store.read(trail)[0]
    assert (latest["who"], latest["what"]) == ("lea", "votes retired")
    assert len(store.read(lambda connection: trail(connection, 2))) == 2
    person = next(
        row
        for row in store.read(lambda connection: overview(connection, BY_ID))["people"]
        if row["name"] == "ann"
    )
    assert person["retired"] and person["answers"] == 4
    store.close()
