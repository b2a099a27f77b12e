"""Keyword sourcing (paper 2.2): of many captioned videos, those whose captions say the right words.

A word is found whole, in any case, singular or plural; several words make a phrase and are found side by side. The
plurals are English; words of other languages are found as they are written, given that they stand between spaces.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from stickers.errors import UserError

PLURALS = """
men man, women woman, children child, people person, feet foot, teeth tooth, geese goose, mice mouse, oxen ox,
calves calf, dwarves dwarf, elves elf, halves half, hooves hoof, knives knife, leaves leaf, lives life, loaves loaf,
scarves scarf, selves self, shelves shelf, thieves thief, wives wife, wolves wolf
"""
IRREGULAR: dict[str, str] = dict(pair.split() for pair in PLURALS.split(","))
#: end in s and are no plurals
SINGULAR = frozenset(("news", "lens", "pants", "always", "perhaps", "this", "does", "series", "species"))


@dataclass(frozen=True, kw_only=True)
class Words:
    """Which captions are wanted: with at least one word of `any`, every one of `all`, and none of `none`.

    UserError when nothing is asked, a word has no letters, or the same word is both wanted and unwanted.
    """

    any: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    none: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.every:
            raise UserError("no words are given; name some that any, all or none of the captions must have")
        for word in self.every:
            if not tokens(word):
                raise UserError(f"{word!r} has no letters or digits to look for")
        if torn := sorted(set(map(tokens, self.none)) & set(map(tokens, (*self.any, *self.all)))):
            raise UserError(f"{' '.join(torn[0])!r} is both wanted and unwanted")

    @property
    def every(self) -> tuple[str, ...]:
        """All words, each once, in the order given."""
        return tuple(dict.fromkeys((*self.any, *self.all, *self.none)))

    def accept(self, found: set[str]) -> bool:
        """Whether a caption in which these words were found is wanted."""
        return (
            (not self.any or any(word in found for word in self.any))
            and all(word in found for word in self.all)
            and not any(word in found for word in self.none)
        )


@dataclass(frozen=True)
class Chosen:
    """Indices of the wanted captions, the wanted words found in each, and in how many captions each word stands:
    of all that were looked at, and of those chosen."""

    rows: list[int] = field(default_factory=list)
    matched: list[tuple[str, ...]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)


def choose(captions: Iterable[str], words: Words) -> Chosen:
    """The captions that `words` accept."""
    chosen, asked = Chosen(), {word: tokens(word) for word in words.every}
    wanted = [word for word in words.every if word not in words.none]
    for index, caption in enumerate(captions):
        found = _found(tokens(caption), asked)
        chosen.seen.update(found)
        if words.accept(found):
            chosen.rows.append(index)
            chosen.matched.append(tuple(word for word in wanted if word in found))
            chosen.kept.update(found)
    return chosen


def tokens(text: str) -> tuple[str, ...]:
    """The words of a text, folded to one case and one way of writing; hyphens part them, a possessive is dropped."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return tuple(re.findall(r"[^\W_]+", re.sub(r"'s\b|(?<=s)'(?!\w)", "", plain)))


def same_word(one: str, other: str) -> bool:
    """Whether two folded words are equal, or one is the plural of the other."""
    return one in _singulars(other) or other in _singulars(one)


def _found(said: tuple[str, ...], asked: dict[str, tuple[str, ...]]) -> set[str]:
    """The asked words that a caption says; most share no form with any of its words, which is quickly seen."""
    forms = frozenset().union(*map(_singulars, said))
    return {
        word
        for word, parts in asked.items()
        if not forms.isdisjoint(_singulars(parts[0])) and says(said, parts)
    }


def says(said: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Whether the words `parts` stand side by side in `said`."""
    return any(
        all(same_word(a, b) for a, b in zip(parts, said[start:], strict=False))
        for start in range(len(said) - len(parts) + 1)
    )


@lru_cache(maxsize=2**16)
def _singulars(word: str) -> frozenset[str]:
    """The word, and what it may be the plural of."""
    if word in IRREGULAR:
        return frozenset((word, IRREGULAR[word]))
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")) or word in SINGULAR:
        return frozenset((word,))
    forms = {word, word[:-1]}
    if word.endswith("ies"):
        forms.add(word[:-3] + "y")
    elif word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        forms.add(word[:-2])
    return frozenset(forms)
