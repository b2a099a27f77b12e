"""Only the right link or password lets a person in, and only while they are active."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from stickers.annotation.store.database import people
from stickers.annotation.store.people import (
    LONGEST_NAME,
    Person,
    add_person,
    begin_session,
    check_name,
    end_session,
    find_person,
    find_session,
    new_link,
    people_in,
    set_active,
    set_password,
    verify,
)
from stickers.annotation.store.votes import VoteStore
from stickers.errors import UserError
from tests.support.choosing import do

PASSWORD = "correct horse battery"
ANN = Person(name="ann", role="annotator")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VoteStore]:
    """An empty store."""
    with VoteStore(f"sqlite:///{tmp_path}/votes.db") as votes:
        yield votes


def test_a_link_belongs_to_its_person_until_a_new_one(store: VoteStore) -> None:
    token = do(store, lambda connection: add_person(connection, " ann ", "annotator"))
    assert store.read(lambda connection: find_person(connection, token=token))[0] == ANN
    hashed = store.read(lambda connection: connection.execute(select(people.c.link)).scalar())
    assert token not in str(hashed), "a reader of the database could sign in"
    fresh = do(store, lambda connection: new_link(connection, "ann", "lea"))
    assert store.read(lambda connection: find_person(connection, token=token))[0] is None
    assert store.read(lambda connection: find_person(connection, token=fresh))[0] == ANN


def test_passwords_are_verified_against_their_hash(store: VoteStore) -> None:
    do(store, lambda connection: add_person(connection, "ann", "annotator"))
    do(store, lambda connection: set_password(connection, "ann", PASSWORD, "lea"))
    person, hashed = store.read(lambda connection: find_person(connection, name="ann"))
    assert person == ANN and verify(hashed, PASSWORD) and not verify(hashed, PASSWORD + "!")
    nobody, hashed = store.read(lambda connection: find_person(connection, name="zoe"))
    assert nobody is None and not verify(hashed, PASSWORD)
    with pytest.raises(UserError, match="10 to 200 characters"):
        do(store, lambda connection: set_password(connection, "ann", "short", "lea"))


def test_a_session_lasts_until_it_is_ended_or_its_person_may_not_sign_in(store: VoteStore) -> None:
    do(store, lambda connection: add_person(connection, "ann", "annotator"))
    first, second = (do(store, lambda connection: begin_session(connection, ANN)) for _ in range(2))
    session = store.read(lambda connection: find_session(connection, first.token))
    assert session is not None and session.person == ANN and session.csrf == first.csrf
    do(store, lambda connection: end_session(connection, first.token))
    assert store.read(lambda connection: find_session(connection, first.token)) is None
    do(store, lambda connection: set_active(connection, "ann", False, "lea"))
    assert store.read(lambda connection: find_session(connection, second.token)) is None
    assert store.read(people_in) == [ANN], "their votes stay, and so do they"


def test_names_and_roles_that_are_not_accepted(store: VoteStore) -> None:
    for name in ("", " ", "a\nb", "x" * (LONGEST_NAME + 1)):
        with pytest.raises(UserError, match="printable characters"):
            check_name(name)
    with pytest.raises(UserError, match="no role 'king'"):
        do(store, lambda connection: add_person(connection, "ann", "king"))
    with pytest.raises(UserError, match="nobody of the name 'zoe'"):
        do(store, lambda connection: set_active(connection, "zoe", True, "lea"))
