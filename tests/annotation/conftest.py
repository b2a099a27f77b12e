"""Both databases in which votes live, and a store that people are at work on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stickers.annotation.rounds import open_plan
from stickers.annotation.store.people import add_person
from stickers.annotation.store.votes import VoteStore
from tests.support.choosing import PEOPLE, do
from tests.support.clips import ROWS
from tests.support.postgres import new_database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/votes.db"
    return new_database(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str) -> Iterator[VoteStore]:
    """A store with one plan of four jobs, and people."""
    with VoteStore(url) as votes:
        for name, role in PEOPLE.items():
            do(votes, lambda connection, name=name, role=role: add_person(connection, name, role))
        assert do(votes, lambda connection: open_plan(connection, "plan", "/plan", ROWS, by="lea")) == 4
        yield votes
