"""A prompt kept for evaluation enters no plan, however it is written."""

from collections.abc import Callable, Sequence

import pytest

from stickers.artifacts.ids import prompt_id
from stickers.artifacts.records import Prompt, Refused, Sticker
from stickers.evaluation.reservation import reservation, without_reserved
from stickers.project import Evaluation
from stickers.prompts.sources import FunctionStickers
from stickers.prompts.sticker_tables import Stickers


def table(texts: Sequence[str], refused: Sequence[Refused] = ()) -> Stickers:
    """Prompts of these texts with two pictures each."""
    prompts = [Prompt(prompt_id=prompt_id(text), text=text, bucket="action", source="test") for text in texts]
    stickers = [
        Sticker(sticker_id=f"{prompt.text}-{index}", prompt_id=prompt.prompt_id, image_index=index, png=b"")
        for prompt in prompts
        for index in (0, 1)
    ]
    return Stickers(prompts, stickers, list(refused))


def evaluation(*held_out: str, reserved: Callable[[str], bool] | None = None) -> Evaluation:
    source = FunctionStickers(make=lambda limit: table(held_out), origin="test")
    return Evaluation(stickers=source, reserved=reserved)


@pytest.mark.parametrize(
    "text",
    ["a cat waving", "A Cat, waving!", "a  cát  waving", "a cat-waving", "a cat wav\u200ding"],
)
def test_the_words_of_a_held_out_prompt_are_reserved_however_written(text: str) -> None:
    assert reservation(evaluation("a cat waving"))(text)


@pytest.mark.parametrize("text", ["a cat", "waving a cat", "a cat waving twice", "a dog waving"])
def test_other_words_are_free(text: str) -> None:
    assert not reservation(evaluation("a cat waving"))(text)


def test_a_project_may_reserve_further_prompts() -> None:
    is_reserved = reservation(evaluation("a cat waving", reserved=lambda text: "secret" in text))
    assert is_reserved("our secret mascot") and is_reserved("a cat waving") and not is_reserved("our mascot")


def test_reserved_prompts_are_refused_with_their_pictures() -> None:
    earlier = Refused(uri="row 9", source="user", reason="the picture is empty")
    stickers = table(["a cat waving", "a dog jumping", "a fox"], [earlier])
    free = without_reserved(stickers, evaluation("A cat waving", "a hen"))
    assert [prompt.text for prompt in free.prompts] == ["a dog jumping", "a fox"]
    assert [row.sticker_id for row in free.stickers] == [
        "a dog jumping-0",
        "a dog jumping-1",
        "a fox-0",
        "a fox-1",
    ]
    assert free.refused == [
        earlier,
        Refused(uri="a cat waving", source="test", reason="the project keeps it for its evaluation"),
    ]


def test_a_table_of_reserved_prompts_alone_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="all 2 prompts are kept for the project's evaluation; none is left"):
        without_reserved(table(["a cat", "a dog"]), evaluation("a cat", "a dog", "a hen"))
