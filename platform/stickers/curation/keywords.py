"""Keyword sourcing (paper 2.2): chooses the videos whose captions contain given words.

A word matches as a full word, in upper or lower case, singular or plural; several words form a phrase and match side by
side. Plurals are English; words of other languages match as written, if spaces separate them.
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
#: words that end in s but are not plurals
SINGULAR = frozenset(("news", "lens", "pants", "always", "perhaps", "this", "does", "series", "species"))


#: letters of the shortest word that is taken for a plural
SHORTEST_PLURAL = 4


@dataclass(frozen=True, kw_only=True)
class Words:
    """Chooses captions with at least one word of `any`, all words of `all`, and no word of `none`.

    UserError without any word, for a word without letters or digits, or for a word that is both wanted and unwanted.
    """

    any: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    none: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.words:
            raise UserError("no words are given; name some that any, all or none of the captions must have")
        for word in self.words:
            if not tokens(word):
                raise UserError(f"{word!r} has no letters or digits to look for")
        if contradictory := sorted(set(map(tokens, self.none)) & set(map(tokens, (*self.any, *self.all)))):
            raise UserError(f"{' '.join(contradictory[0])!r} is both wanted and unwanted")

    @property
    def words(self) -> tuple[str, ...]:
        """All words in their order, without repetitions."""
        return tuple(dict.fromkeys((*self.any, *self.all, *self.none)))

    def accept(self, matches: set[str]) -> bool:
        """True for a caption with these words."""
        return (
            (not self.any or any(word in matches for word in self.any))
            and all(word in matches for word in self.all)
            and not any(word in matches for word in self.none)
        )


@dataclass(frozen=True)
class Chosen:
    """The chosen captions.

    `rows` are their indices and `matched` the wanted words in each. `num_captions` and `num_chosen` count, for each
    word, the captions that contain it: of all, and of the chosen ones.
    """

    rows: list[int] = field(default_factory=list)
    matched: list[tuple[str, ...]] = field(default_factory=list)
    num_captions: Counter[str] = field(default_factory=Counter)
    num_chosen: Counter[str] = field(default_factory=Counter)


def choose(captions: Iterable[str], words: Words) -> Chosen:
    """The captions that `words` accept."""
    chosen, phrases = Chosen(), {word: tokens(word) for word in words.words}
    positive = [word for word in words.words if word not in words.none]
    for index, caption in enumerate(captions):
        matches = _matches(tokens(caption), phrases)
        chosen.num_captions.update(matches)
        if words.accept(matches):
            chosen.rows.append(index)
            chosen.matched.append(tuple(word for word in positive if word in matches))
            chosen.num_chosen.update(matches)
    return chosen


def tokens(text: str) -> tuple[str, ...]:
    """The words of a text in one normal form and case; hyphens separate words, a possessive is dropped."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return tuple(re.findall(r"[^\W_]+", re.sub(r"'s\b|(?<=s)'(?!\w)", "", plain)))


def same_word(one: str, other: str) -> bool:
    """True where two folded words are equal, or one is the plural of the other."""
    return one in _singulars(other) or other in _singulars(one)


def _matches(words: tuple[str, ...], phrases: dict[str, tuple[str, ...]]) -> set[str]:
    """The keywords that a caption contains.

    Most share no form with any word of the caption, which is a fast first test.
    """
    forms: frozenset[str] = frozenset().union(*map(_singulars, words))
    return {
        keyword
        for keyword, phrase in phrases.items()
        if not forms.isdisjoint(_singulars(phrase[0])) and contains_phrase(words, phrase)
    }


def contains_phrase(words: tuple[str, ...], phrase: tuple[str, ...]) -> bool:
    """True where the words of `phrase` are neighbours in `words`."""
    return any(
        all(same_word(a, b) for a, b in zip(phrase, words[start:], strict=False))
        for start in range(len(words) - len(phrase) + 1)
    )


@lru_cache(maxsize=2**16)
def _singulars(word: str) -> frozenset[str]:
    """The word, and the words whose plural it may be."""
    if word in IRREGULAR:
        return frozenset((word, IRREGULAR[word]))
    if (
        len(word) < SHORTEST_PLURAL
        or not word.endswith("s")
        or word.endswith(("ss", "us", "is"))
        or word in SINGULAR
    ):
        return frozenset((word,))
    forms = {word, word[:-1]}
    if word.endswith("ies"):
        forms.add(word.removesuffix("ies") + "y")
    elif word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        forms.add(word[:-2])
    return frozenset(forms)
