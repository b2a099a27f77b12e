"""Licences are joined by who brought them and shown by licence."""

from stickers.artifacts.licences import by_licence, in_words, named_collections


def test_distinct_licences_name_who_brought_them() -> None:
    licences = {
        **named_collections({"artist": "CC-BY-4.0", "web": ""}),
        "foundation": "Apache-2.0",
        "stickers": "CC-BY-4.0",
    }
    assert by_licence(licences) == {
        "Apache-2.0": ["foundation"],
        "CC-BY-4.0": ["collection artist", "stickers"],
        "not stated": ["collection web"],
    }
    assert in_words(licences) == (
        "Apache-2.0 (foundation); CC-BY-4.0 (collection artist, stickers); not stated (collection web)"
    )
    assert in_words({}) == "not stated" and by_licence({}) == {}
