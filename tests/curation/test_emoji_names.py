"""Names of emoji files: what they are in plain words, which subject, tone and kind they belong to."""

import json

import pytest

from stickers.curation.emoji_names import (
    DEFAULT_TONE,
    EmojiNames,
    caption_of,
    code_points,
    family_of,
    slug_of,
)
from stickers.errors import UserError

PEOPLE, SMILEYS, ANIMALS, TRAVEL = (
    "People & Body",
    "Smileys & Emotion",
    "Animals & Nature",
    "Travel & Places",
)
LIST = {
    "👋": ("waving hand", PEOPLE),
    "🧑‍🤝‍🧑": ("people holding hands", PEOPLE),
    "☀️": ("sun", TRAVEL),
    "😸": ("grinning cat with smiling eyes", SMILEYS),
    "🏴󠁧󠁢󠁳󠁣󠁴󠁿": ("flag Scotland", "Flags"),
    "🕐": ("one o’clock", TRAVEL),
    "#️⃣": ("keycap #", "Symbols"),
}


@pytest.fixture
def names() -> EmojiNames:
    entries = {emoji: {"name": name, "group": group} for emoji, (name, group) in LIST.items()}
    return EmojiNames.from_json(json.dumps(entries).encode(), "data-by-emoji.json")


def test_a_file_name_tells_subject_tone_and_caption(names: EmojiNames) -> None:
    yellow, dark = names.identify("1f44b"), names.identify("1f44b-1f3ff")
    assert (yellow.caption, yellow.skin_tone, yellow.codes) == ("waving hand", DEFAULT_TONE, "1f44b")
    assert (dark.caption, dark.skin_tone) == ("waving hand, dark skin", "dark")
    assert yellow.subject == dark.subject == "1f44b" and yellow.family == dark.family
    pair = names.identify("1f9d1-1f3fb-200d-1f91d-200d-1f9d1-1f3ff")
    assert pair.caption == "people holding hands, light and dark skin"
    assert names.identify("1f9d1-1f3fb-200d-1f91d-200d-1f9d1-1f3fb").skin_tone == "light"


def test_spellings_of_one_emoji_are_one_subject(names: EmojiNames) -> None:
    assert names.identify("2600").subject == names.identify("2600-fe0f").subject == "2600"
    assert names.identify("0023-fe0f-20e3").subject == names.identify("23-20e3").subject
    scotland = "1f3f4-e0067_e0062_e0073_e0063_e0074"
    assert (
        names.identify(scotland).caption == names.identify(f"{scotland}-e007f").caption == "flag of Scotland"
    )
    assert names.identify("1f550").caption == "clock showing one o'clock"


@pytest.mark.parametrize(
    ("stem", "reason"),
    [
        ("smile", "not made of code points"),
        ("1f44b-", "not made of code points"),
        ("110000", "not made of code points"),
        ("-1", "not made of code points"),
        ("1f9ff", "no emoji has these code points"),
        ("1f3fb", "no emoji has these code points"),
        ("fe0f", "no emoji has these code points"),
    ],
)
def test_what_has_no_name_is_refused_with_the_reason(names: EmojiNames, stem: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        names.identify(stem)


@pytest.mark.parametrize(
    "text", [b"no json", b"[]", b'{"a": 1}', b'{"a": {"name": "b"}}', b'{"a": {"name": 1}}']
)
def test_a_table_of_another_form_is_refused(text: bytes) -> None:
    with pytest.raises(UserError, match=r"names.json is no (JSON|table of emoji with name and group)"):
        EmojiNames.from_json(text, "names.json")


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("see-no-evil monkey", "monkey covering its eyes"),
        ("man beard", "man with a beard"),
        ("woman red hair", "woman with red hair"),
        ("person bald", "bald person"),
        ("twelve-thirty", "clock showing half past twelve"),
        ("kiss woman, woman", "two women kissing"),
        ("couple with heart woman, man", "a woman and a man under a heart"),
        ("family man, woman, girl, girl", "family of a man, a woman and two girls"),
        ("family adult, child, child", "family of an adult and two children"),
        ("family woman, boy", "family of a woman and a boy"),
        ("flag Chad", "flag of Chad"),
        ("keycap 7", "key with 7"),
        ("cat with wry smile", "cat with wry smile"),
    ],
)
def test_captions_say_what_is_seen(name: str, caption: str) -> None:
    assert caption_of(name) == caption


def test_what_is_alike_by_kind_is_one_family() -> None:
    families = [
        [("man running", PEOPLE), ("woman running", PEOPLE), ("person running", PEOPLE)],
        [("red heart", SMILEYS), ("heart with arrow", SMILEYS), ("two hearts", SMILEYS)],
        [("cat face", ANIMALS), ("grinning cat", SMILEYS), ("black cat", ANIMALS)],
        [("one o'clock", TRAVEL), ("six-thirty", TRAVEL), ("alarm clock", TRAVEL)],
        [("grinning face", SMILEYS), ("grinning face with big eyes", SMILEYS)],
        [("person in bed", PEOPLE)],
        [("man", PEOPLE), ("old woman", PEOPLE)],
        [("flag Chad", "Flags"), ("pirate flag", "Flags")],
        [("bus", TRAVEL), ("minibus", TRAVEL)],
        [("bed", "Objects")],
    ]
    names = [{family_of(*emoji) for emoji in family} for family in families]
    assert all(len(family) == 1 and "" not in family for family in names), names
    assert len(set.union(*names)) == len(families)
    assert family_of("face with tongue", SMILEYS) != family_of("face with monocle", SMILEYS)


def test_code_points_and_slugs() -> None:
    assert code_points("1f44b-1F3FF") == (0x1F44B, 0x1F3FF)
    assert slug_of("flag Côte d'Ivoire") == "flag-cote-divoire" and slug_of('Japanese "here" button') == (
        "japanese-here-button"
    )
