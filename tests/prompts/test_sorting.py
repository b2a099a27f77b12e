"""Whatever people, tables and models write, the sorted prompts are clean, safe and distinct."""

import pytest

from stickers.prompts.sorting import ProposedPrompt, bucket_of, distinct, forms_of, sort_out
from stickers.toy.grammar import held_out_prompts, toy_prompts
from stickers.toy.words import says_held_out


def proposed(*texts: str) -> list[ProposedPrompt]:
    return [ProposedPrompt(text=text, source="test") for text in texts]


def reasons(*texts: str, **settings: object) -> dict[str, str]:
    return {row.uri: row.reason for row in sort_out(proposed(*texts), **settings).refused}  # type: ignore[arg-type]


def test_the_paper_s_examples_are_sorted_as_the_paper_sorts_them() -> None:
    examples = {
        "a person waving": "action",
        "a speeding car navigating a winding road": "action",
        "a girl crying": "emotion",
        "a dejected-looking puppy with its ears drooping and its tail between its legs": "emotion",
        "scenery": "open-ended",
        "a mountain lake at dawn": "open-ended",
    }
    assert {text: bucket_of(text) for text in examples} == examples
    assert forms_of("run") >= {"run", "runs", "running"} and forms_of("dance") >= {
        "dances",
        "danced",
        "dancing",
    }
    assert forms_of("cry") >= {"cries", "cried", "crying"} and forms_of("bow") >= {"bowing", "bows"}


def test_toy_prompts_are_mostly_sorted_as_they_are_meant() -> None:
    prompts = toy_prompts(150, seed=5)
    right = sum(bucket_of(prompt.text) == prompt.bucket for prompt in prompts)
    assert right / len(prompts) > 0.85


def test_duplicates_are_named_and_near_ones_too() -> None:
    prompt_set = sort_out(
        proposed(
            "a cat jumping over the fence",
            "A cat is jumping over a fence!",
            "a bat jumping over the fence",
            "the cat  jumping over the fence",
            "an old brave knight slowly climbing up one very steep snowy mountain path",
            "an old brave knight slowly climbing up one very steep snowy mountain road",
            "猫が跳ぶ",
            "猫が跳ぶ",
            "犬が跳ぶ",
            "🎉🎉",
            "🎈",
        )
    )
    assert [prompt.text for prompt in prompt_set.prompts] == [
        "a cat jumping over the fence",
        "a bat jumping over the fence",
        "an old brave knight slowly climbing up one very steep snowy mountain path",
        "猫が跳ぶ",
        "犬が跳ぶ",
        "🎉🎉",
        "🎈",
    ]
    assert all("it repeats 'a" in row.reason for row in prompt_set.refused[:2])
    assert len(prompt_set.prompts) + len(prompt_set.refused) == 11


def test_many_prompts_stay_distinct_as_by_comparing_every_pair() -> None:
    prompts = toy_prompts(180, seed=2)
    kept, doubles = distinct([*prompts, *prompts[::-1]])
    assert [prompt.text for prompt in kept] == [prompt.text for prompt in distinct(prompts)[0]]
    assert len(kept) + len(doubles) == 360 and len(kept) > 120


@pytest.mark.parametrize(
    "text",
    [
        "a dragon breathing Poison",
        "ａ　ｐｏｉｓｏｎ　ｄａｒｔ",
        "poi\u200bson in a cup",
        "p\u00f2\u00efs\u00f6n apples",
        "two poisons, mixed",
    ],
)
def test_an_unsafe_word_is_found_however_it_is_written(text: str) -> None:
    assert "'poison'" in next(iter(reasons(text, "a cup of tea", unsafe=["poison"]).values()))
    assert reasons("a cup of tea", "poisonous mushroom", unsafe=["poison"]) == {}, "whole words alone"


def test_phrases_are_unsafe_side_by_side() -> None:
    assert set(reasons("someone gets shot dead", "dead tired after a shot", unsafe=["shot dead"])) == {
        "someone gets shot dead"
    }
    with pytest.raises(ValueError, match="no letters or digits"):
        sort_out(proposed("a cat"), unsafe=["!!!"])


def test_whatever_is_no_prompt_is_refused_with_a_reason() -> None:
    reason_of = reasons(
        "x" * 100_000, "", " \t\n", "a cat\x00jumping", "bell\x07", "half \ud83d of one", "a dog\nrunning"
    )
    assert len(reason_of) == 6, "the line break is a space"
    assert "100000 characters" in reason_of["x" * 80 + "..."]
    assert "U+0000" in reason_of["a cat\x00jumping"] and "U+0007" in reason_of["bell\x07"]


def test_other_writings_are_prompts_like_others() -> None:
    texts = [
        "قطة تقفز",
        "a cat \u202eflipped\u202c over",
        "👩‍🚀🚀 lifting off",
        "Zürich im Regen",
        "ñandú corriendo",
    ]
    prompt_set = sort_out(proposed(*texts))
    assert [prompt.text for prompt in prompt_set.prompts] == texts and not prompt_set.refused


def test_balance_and_most() -> None:
    texts = ["a lion running", "a horse jumping", "a whale waving", "a girl crying", "a lake", "a hill"]
    even = sort_out(proposed(*texts), balance=True)
    assert even.counts() == {"action": 1, "emotion": 1, "open-ended": 1} and len(even.refused) == 3
    assert [prompt.text for prompt in sort_out(proposed(*texts), most=2).prompts] == texts[:2]
    labelled = sort_out(
        [
            ProposedPrompt(text="a lake", bucket="action", source="s"),
            ProposedPrompt(text="a", bucket="acting", source="s"),
        ]
    )
    assert labelled.counts()["action"] == 1 and "bucket 'acting' is unknown" in labelled.refused[0].reason


def test_what_is_kept_for_evaluation_never_enters() -> None:
    held = [prompt.text for prompt in held_out_prompts(4, seed=1)]
    prompt_set = sort_out(proposed(*held, "a lake"), reserved=says_held_out)
    assert [prompt.text for prompt in prompt_set.prompts] == ["a lake"]
    assert {row.reason for row in prompt_set.refused} == {"the project keeps it for its evaluation"}
