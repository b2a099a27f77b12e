"""Requests come back, add up, and say what is withdrawn without naming people; marks speak in sentences."""

import json
from pathlib import Path

import pytest

from stickers import storage
from stickers.errors import UserError
from stickers.housekeeping.withdrawal import MARKED
from stickers.housekeeping.withdrawn import (
    MADE_AGAIN_BY,
    Request,
    Withdrawn,
    lift,
    mark,
    person_digest,
    picture_digest,
    requests_in,
    sentence_of,
    warning_of,
)


def test_requests_come_back_and_add_up(tmp_path: Path) -> None:
    runs = str(tmp_path)
    assert Withdrawn.of(runs) == Withdrawn() and requests_in(runs) == []
    video = Request(subject="video", contents=("a", "b"), uris=("/a.mp4",), learned=("teachers/x",)).begin(
        runs
    )
    Request(subject="sticker", stickers=("s",), pictures=("p",)).begin(runs)
    Request(subject="votes", person=person_digest("Zoë")).begin(runs)
    assert video in requests_in(runs)
    assert Withdrawn.of(runs) == Withdrawn(
        contents=frozenset("ab"),
        uris=frozenset(["/a.mp4"]),
        stickers=frozenset("s"),
        pictures=frozenset("p"),
        people=frozenset([person_digest("Zoë")]),
    )
    assert not any("Zo" in path.read_text() for path in tmp_path.rglob("*.json"))


def test_the_same_request_goes_on_with_what_it_had_found(tmp_path: Path) -> None:
    runs = str(tmp_path)
    first = Request(subject="video", contents=("a",), uris=("/a",), learned=("teachers/x",)).begin(runs)
    again = Request(subject="video", contents=("a",), uris=("/b",), learned=("students/y",)).begin(runs)
    assert again.withdrawal_id == first.withdrawal_id and again.asked_at == first.asked_at
    assert again.learned == ("teachers/x", "students/y") and again.uris == ("/a", "/b")
    assert Request(subject="video", contents=("c",)).withdrawal_id != first.withdrawal_id
    assert len(requests_in(runs)) == 1


@pytest.mark.parametrize("kind", MARKED)
def test_a_mark_says_which_command_makes_it_again(tmp_path: Path, kind: str) -> None:
    artifact, request = str(tmp_path / kind / "x"), Request(subject="sticker", stickers=("s",))
    assert sentence_of(artifact) == ("", "warn") and warning_of(artifact) == ""
    mark(artifact, kind, request, touched=False)
    with pytest.raises(
        UserError, match=f"learned from a sticker that was withdrawn on 20.*{MADE_AGAIN_BY[kind]}"
    ):
        warning_of(artifact)
    assert lift(artifact) and not lift(artifact) and warning_of(artifact) == ""


def test_a_warning_never_weakens_a_refusal(tmp_path: Path) -> None:
    artifact = str(tmp_path / "students" / "x")
    mild = Request(subject="votes", person="p", policy="warn")
    mark(artifact, "students", mild, touched=False)
    assert "learned from votes that were withdrawn" in warning_of(artifact)
    mark(artifact, "students", Request(subject="video", contents=("a",)), touched=False)
    mark(artifact, "students", mild, touched=False)
    with pytest.raises(UserError):
        warning_of(artifact)


def test_what_lost_parts_is_refused_under_any_policy(tmp_path: Path) -> None:
    artifact = str(tmp_path / "kept" / "x")
    mark(artifact, "kept", Request(subject="votes", person="p", policy="warn"), touched=True)
    assert json.loads(storage.read_bytes(storage.join(artifact, "withdrawn.json")))["policy"] == "refuse"
    with pytest.raises(UserError, match="lost parts to votes"):
        warning_of(artifact)


def test_a_picture_that_cannot_be_read_has_an_identity_too() -> None:
    assert picture_digest(b"no picture") == picture_digest(b"no picture") != picture_digest(b"another")
