"""The toy world's language: what is said is read back, and nobody says what is held out."""

from collections import Counter

import numpy as np
import pytest

from stickers.toy import words
from stickers.toy.characters import SUBJECTS
from stickers.toy.motions import MOTIONS


def test_every_motion_lies_in_one_of_three_buckets() -> None:
    assert [motion for motions in words.BUCKETS.values() for motion in motions] == list(MOTIONS)
    assert {words.BUCKET_OF[motion] for motion in MOTIONS} == {"action", "emotion", "open-ended"}


def test_hold_out_takes_every_motion_and_subject_in_turn() -> None:
    held = words.pairs(held=True)
    assert len(held) == 24 and not set(held) & set(words.pairs(held=False))
    assert {motion for _, motion in held} == set(MOTIONS)
    assert len(words.pairs(held=False)) == 5 * len(held), "one pair in six is held out"
    assert Counter(motion for _, motion in held) == dict.fromkeys(MOTIONS, 2)


def test_prompts_read_back_and_single_subjects_admit_several_motions() -> None:
    rng = np.random.default_rng(0)
    for subject, motion in words.pairs(held=False):
        meaning = words.meaning(words.prompt(subject, motion, rng))
        assert (meaning.subject, meaning.motions) == (subject, (motion,))
    assert words.meaning("a fox").motions == words.BUCKETS["open-ended"]
    assert words.prompt("alien", "jump", rng).startswith("an alien ")


def test_what_the_toy_world_cannot_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="'a teapot waving' names none of the toy subjects: cat, dog"):
        words.meaning("a teapot waving")
    with pytest.raises(
        ValueError, match="'a cat juggling' names no motion the toy world can draw; try 'waving'"
    ):
        words.meaning("a cat juggling")


def test_what_a_prompt_asks_for() -> None:
    assert words.asked_for("a cat sobbing") == "cry"
    assert words.asked_for("a cat") == "any of several"
    with pytest.raises(ValueError, match="none of the toy subjects"):
        words.asked_for("our mascot")


def test_a_prompt_that_admits_a_held_out_motion_is_known_however_it_is_worded() -> None:
    for subject, motion in words.pairs(held=True):
        assert all(words.says_held_out(f"a {subject} {phrase}") for phrase in words.PHRASES[motion])
    for subject, motion in words.pairs(held=False):
        assert not any(words.says_held_out(f"the {subject} {phrase}") for phrase in words.PHRASES[motion])
    for subject in SUBJECTS:
        admitted = [words.held_out(subject, motion) for motion in words.BUCKETS["open-ended"]]
        assert words.says_held_out(f"a {subject}") == any(admitted)
    assert not words.says_held_out("our mascot waves"), "other people's prompts are none of the toy world's"


def test_noisy_captions_are_soup_wrong_file_names_or_nothing() -> None:
    rng = np.random.default_rng(0)
    captions = [words.noisy_caption("dog", "wave", rng) for _ in range(1000)]
    right = sum(any(phrase in caption for phrase in words.PHRASES["wave"]) for caption in captions)
    assert 0.45 < right / 1000 < 0.57, "half of them say it, and now and then a wrong one is right by chance"
    assert 0.1 < captions.count("") / 1000 < 0.2
    assert 0.06 < sum(caption.startswith("IMG_") for caption in captions) / 1000 < 0.14
    assert not any(words.says_held_out(f"a {caption}") for caption in captions)


def test_captions_of_the_general_domain() -> None:
    assert words.thing_caption("striped", "kite", "zoom") == "a striped kite growing"
    caption = words.puppet_caption("banded", "doll", "run", np.random.default_rng(0))
    assert caption.removeprefix("a banded doll ") in words.PHRASES["run"]


def test_the_tokenizer_learns_every_word_that_is_ever_said() -> None:
    sentences = words.corpus()
    assert len(sentences) == len(set(sentences))
    known_words = {word for sentence in sentences for word in sentence.split()}
    rng = np.random.default_rng(0)
    spoken = [words.prompt(*pair, rng) for pair in words.pairs(held=False)]
    spoken += [words.noisy_caption(*pair, rng) for pair in words.pairs(held=False)]
    unknown = {word for text in spoken for word in text.split()} - known_words
    assert all(word.startswith("IMG_") for word in unknown), unknown
