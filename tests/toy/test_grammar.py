"""The toy world's prompts and pictures: a prompt kept for evaluation must never reach a plan."""

from collections import Counter

import numpy as np
import pytest

from stickers.artifacts.ids import prompt_id
from stickers.toy.grammar import held_out_prompts, open_subjects, toy_prompts, toy_stickers
from stickers.toy.oracle import draw_sticker
from stickers.toy.words import BUCKETS, held_out, meaning, says_held_out
from stickers.video.clips import on_white
from stickers.video.codec import decode_picture


def test_toy_prompts_are_distinct_balanced_and_never_held_out() -> None:
    prompts = toy_prompts(90, seed=3)
    assert len({p.text for p in prompts}) == 90
    assert Counter(p.bucket for p in prompts) == {"action": 30, "emotion": 30, "open-ended": 30}
    for prompt in prompts:
        understood = meaning(prompt.text)
        assert understood.bucket == prompt.bucket and prompt.prompt_id == prompt_id(prompt.text)
        assert not any(held_out(understood.subject, motion) for motion in understood.motions)
    assert any(len(meaning(p.text).motions) > 1 for p in prompts), "no single-subject prompt among them"
    motions = Counter(m for p in prompts if p.bucket == "action" for m in meaning(p.text).motions)
    assert max(motions.values()) - min(motions.values()) <= 1


def test_held_out_prompts_are_held_out() -> None:
    prompts = held_out_prompts(24, seed=0)
    assert len({p.text for p in prompts}) == 24
    assert all(held_out(meaning(p.text).subject, meaning(p.text).motions[0]) for p in prompts)
    assert not {p.text for p in prompts} & {p.text for p in toy_prompts(300, seed=0)}
    assert {p.source for p in prompts} == {"toy grammar, held out"}


def test_the_seed_decides() -> None:
    assert toy_prompts(24, seed=1) == toy_prompts(24, seed=1) != toy_prompts(24, seed=2)


def test_few_prompts_are_the_first_of_many() -> None:
    assert toy_prompts(60, seed=4)[:7] == toy_prompts(7, seed=4)


@pytest.mark.parametrize("num_prompts", [0, 10_000])
def test_more_prompts_than_there_are_and_none_are_refused(num_prompts: int) -> None:
    with pytest.raises(ValueError, match=f"asked for {num_prompts}; accepted: 1 to"):
        toy_prompts(num_prompts, seed=0)


def test_all_prompts_can_be_had_and_none_twice() -> None:
    # a held-out pair a phrase: 24 pairs, three phrases each
    assert len({p.text for p in held_out_prompts(72, seed=0)}) == 72
    with pytest.raises(ValueError, match="has 72 such prompts, asked for 73; accepted: 1 to 72"):
        held_out_prompts(73, seed=0)


def test_subjects_that_stand_alone_admit_nothing_held_out() -> None:
    subjects = open_subjects()
    assert subjects and not any(held_out(s, motion) for s in subjects for motion in BUCKETS["open-ended"])
    alone = {p.text for p in toy_prompts(300, seed=0) if len(meaning(p.text).motions) > 1}
    assert {text.split()[1] for text in alone} == set(subjects)
    assert not any(says_held_out(text) for text in alone)


def test_toy_stickers_are_two_pictures_a_prompt() -> None:
    prompts = toy_prompts(3, seed=0)
    stickers = toy_stickers(prompts, 32)
    assert [s.image_index for s in stickers] == [0, 1] * 3
    assert len({s.sticker_id for s in stickers}) == 6
    drawn = draw_sticker(prompts[0].text, 1, 32)
    assert np.array_equal(decode_picture(stickers[1].png), on_white(drawn[None])[0])
