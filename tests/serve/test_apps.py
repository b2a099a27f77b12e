"""Deployments become applications only with a store or a model that they can use."""

from pathlib import Path

import pytest

from serve.apps import ChoosingOptions, StudentOptions, build_choosing, build_student, find_model, student_app
from stickers.errors import UserError


def test_a_vote_store_is_needed_and_several_replicas_need_a_postgresql(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("STICKERS_VOTES", raising=False)
    with pytest.raises(UserError, match="STICKERS_VOTES"):
        build_choosing(ChoosingOptions())
    with pytest.raises(UserError, match="SQLite serves one"):
        build_choosing(ChoosingOptions(votes="sqlite:////x.db", replicas=2))
    application = build_choosing(ChoosingOptions(votes="sqlite:////x.db"))
    assert application is not None, "binding opens no store"


def test_a_model_is_an_exported_folder(tmp_path: Path, student_folder: Path) -> None:
    with pytest.raises(UserError, match="no exported model: pipeline.json is missing"):
        find_model(str(tmp_path), "")
    assert find_model(str(student_folder), "") == str(student_folder)
    assert build_student(StudentOptions(model=str(student_folder))) is not None
    assert student_app(str(student_folder), device="cuda") is not None


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError, match="extra"):
        ChoosingOptions(vote="sqlite:////x.db")  # type: ignore[call-arg]
