"""Words match captions as people mean them."""

import pytest

from stickers.curation.keywords import Words, choose


@pytest.mark.parametrize(
    ("word", "caption", "matches"),
    [
        ("cat", "A CAT waving", True),
        ("cat", "two cats", True),
        ("cats", "one cat", True),
        ("cat", "the cat's paw", True),
        ("cat", "concatenate categories", False),
        ("cat", "a cat-like thing", True),
        ("box", "boxes", True),
        ("box", "boxer", False),
        ("movies", "a movie", True),
        ("baby", "Babies crawling", True),
        ("knife", "knives", True),
        ("cafe", "two caves", False),
        ("child", "children playing", True),
        ("hero", "heroes", True),
        ("bus", "bu", False),
        ("new", "the news", False),
        ("grass", "gras", False),
        ("ice cream", "melting ice-creams!", True),
        ("ice cream", "cream on ice", False),
        ("T-shirt", "in a t shirt", True),
        ("café", "CAFE\u0301s at night", True),
        ("кот", "рыжий Кот", True),
        ("cat", "", False),
    ],
)
def test_whole_words_in_any_case_and_number(word: str, caption: str, matches: bool) -> None:
    assert bool(choose([caption], Words(any=(word,))).rows) is matches


def test_any_all_and_none_together() -> None:
    captions = [
        "cat sticker dancing",
        "dog sticker",
        "cat sticker with text",
        "cat dancing",
        "dancing dog stickers",
    ]
    chosen = choose(captions, Words(any=("cat", "dog"), all=("sticker",), none=("text",)))
    assert chosen.rows == [0, 1, 4]
    assert chosen.matched == [("cat", "sticker"), ("dog", "sticker"), ("dog", "sticker")]
    assert chosen.num_captions == {"cat": 3, "dog": 2, "sticker": 4, "text": 1}
    assert chosen.num_chosen == {"cat": 1, "dog": 2, "sticker": 3}
    assert choose(captions, Words(none=("dog", "text"))).rows == [0, 3]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({}, "no words are given"),
        ({"any": ("!?",)}, "'!\\?' has no letters or digits to look for"),
        ({"any": ("Cat",), "none": ("cat",)}, "'cat' is both wanted and unwanted"),
    ],
)
def test_contradictory_and_empty_words_are_refused(words: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Words(**words)
