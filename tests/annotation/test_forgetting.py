"""A person is forgotten by the database, others' doing stays, and votes are append-only again afterwards."""

import json

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from stickers.annotation.forgetting import count_traces, forget
from stickers.annotation.rounds import change_settings, retire
from stickers.annotation.store import database
from stickers.annotation.store.people import people_in
from stickers.annotation.store.votes import VoteStore
from tests.support.choosing import do, work


def dump(store: VoteStore) -> str:
    """Everything in the database, as text."""
    rows = [
        list(row)
        for table in database.metadata.sorted_tables
        for row in store.read(lambda connection, table=table: connection.execute(select(table)).all())
    ]
    return json.dumps(rows, default=str)


def test_nothing_names_the_person_and_others_keep_what_they_did(store: VoteStore) -> None:
    assert work(store, "ann") and work(store, "bob")
    do(store, lambda connection: change_settings(connection, {"gold_rate": 0.0, "clips_per_job": 4}, "ann"))
    do(store, lambda connection: retire(connection, "cid", retired=True, by="ann", reason="too fast"))
    kept = [vote for vote in store.all(retired=True) if vote.annotator == "bob"]
    counts = store.read(lambda connection: count_traces(connection, "ann"))
    assert counts == {"votes": 4, "skips": 0, "person": 1} and '"ann"' in dump(store)
    do(store, lambda connection: forget(connection, "ann", "withdrawn-1"))
    assert '"ann"' not in dump(store) and '"withdrawn-1"' in dump(store)
    assert store.all(retired=True) == kept
    assert "ann" not in {person.name for person in store.read(people_in)}
    assert not any(store.read(lambda connection: count_traces(connection, "ann")).values())
    assert work(store, "dan") == 4, "the seats are free for somebody else"


def test_votes_are_append_only_again(store: VoteStore) -> None:
    assert work(store, "ann") and work(store, "bob")
    do(store, lambda connection: forget(connection, "ann", "withdrawn-1"))
    for table in ("votes", "events", "settings"):
        if table != "settings":
            with pytest.raises(DBAPIError, match=f"{table} are append-only"):
                do(store, lambda connection, table=table: connection.execute(text(f"DELETE FROM {table}")))


def test_a_failure_on_the_way_changes_nothing_and_leaves_the_guard(
    store: VoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert work(store, "ann")
    before = dump(store)
    monkeypatch.setattr("stickers.annotation.forgetting.balance", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        do(store, lambda connection: forget(connection, "ann", "withdrawn-1"))
    assert dump(store) == before
    with pytest.raises(DBAPIError, match="votes are append-only"):
        do(store, lambda connection: connection.execute(text("DELETE FROM votes")))
