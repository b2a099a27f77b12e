"""A language model as an actor: every question comes back with the model's answer."""

from pathlib import Path

from actors.author import AuthorActor
from stickers.prompts.language_model import ANSWERS, ASKS, Author, asks_for


def test_every_question_comes_back_with_its_answer(author_folder: Path) -> None:
    asks = asks_for(20, "digest", seed=0)[:3]
    answers = AuthorActor(str(author_folder))(ASKS.empty_table().from_pylist([vars(ask) for ask in asks]))
    author = Author(str(author_folder))
    assert answers.schema == ANSWERS
    assert answers.to_pylist() == [
        {"ask_id": ask.ask_id, "bucket": ask.bucket, "answer": author.write(ask)} for ask in asks
    ]
