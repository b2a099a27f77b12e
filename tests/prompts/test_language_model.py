"""A language model's answers become prompts, whatever it answers."""

from pathlib import Path

import pytest

from stickers.prompts.language_model import (
    PROMPTS_PER_ASK,
    Author,
    asks_for,
    instruction,
    prompts_in,
    proposed_in,
)
from stickers.prompts.sorting import sort_out


def test_answers_are_read_line_by_line() -> None:
    answer = """Sure! Here are the prompts:
    1. a cat jumping over a puddle
    2) "a dog waving"
    - a fox dancing

    * “an owl flapping its wings”
    12 : a girl crying"""
    assert prompts_in(answer) == [
        "a cat jumping over a puddle",
        "a dog waving",
        "a fox dancing",
        "an owl flapping its wings",
        "a girl crying",
    ]
    assert prompts_in("") == [] and prompts_in("\n\n1.\n") == []


def test_where_words_tell_nothing_what_was_asked_for_counts() -> None:
    proposed = proposed_in(
        [("action", "1. a squid gliding\n2. a girl crying"), ("open-ended", "1. a squid")], "model"
    )
    assert [(prompt.text, prompt.bucket) for prompt in proposed] == [
        ("a squid gliding", "action"),
        ("a squid", "open-ended"),
        ("a girl crying", "emotion"),
    ]


def test_questions_ask_for_dynamic_motion_in_every_bucket() -> None:
    asks = asks_for(100, "digest", seed=1)
    assert len(asks) * PROMPTS_PER_ASK >= 150 and {ask.bucket for ask in asks} == {
        "action",
        "emotion",
        "open-ended",
    }
    assert len({ask.ask_id for ask in asks}) == len({ask.seed for ask in asks}) == len(asks)
    assert (
        asks == asks_for(100, "digest", seed=1) and asks[0].ask_id != asks_for(100, "other", seed=1)[0].ask_id
    )
    assert all("dynamic motion" in instruction(ask.bucket) for ask in asks)


def test_a_model_that_learned_prompts_writes_some(author_folder: Path) -> None:
    author = Author(str(author_folder))
    asks = asks_for(30, "digest", seed=0)
    answers = [author.write(ask) for ask in asks]
    assert answers[0] == Author(str(author_folder)).write(asks[0]), "a seed decides"
    proposed = proposed_in([(ask.bucket, text) for ask, text in zip(asks, answers, strict=True)], "tiny")
    prompts = sort_out(proposed).prompts
    assert len(prompts) >= 10 and len({prompt.text for prompt in prompts}) == len(prompts)


def test_a_model_with_a_chat_template_is_asked_by_it(author_folder: Path) -> None:
    author = Author(str(author_folder))
    author.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %} the answer is"
    inputs, beginning = author._question("action")
    assert beginning == "" and inputs["input_ids"].shape[0] == 1 and inputs["input_ids"].shape[1] > 20
    assert isinstance(author.write(asks_for(3, "d", seed=0)[0]), str)


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="AutoTokenizer"):
        Author(str(tmp_path))
