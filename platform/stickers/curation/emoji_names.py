"""What an emoji's file is called in plain words: its name, caption, subject, skin tone and family.

Emoji sets name their files by Unicode code points (`1f44b-1f3fd.webp`). Names and groups are those of the Unicode
Consortium, in the form of the npm package unicode-emoji-json; `emoji_captions.csv` replaces the names that do not
say what is seen. A caption describes the picture; the motion stays open, for nobody has looked at it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from stickers.errors import UserError
from stickers.storage.outside import open_table, parse_json

VARIATION_SELECTOR = 0xFE0F
#: five modifiers of the Fitzpatrick scale, from light to dark
SKIN_TONES = {
    0x1F3FB: "light",
    0x1F3FC: "medium-light",
    0x1F3FD: "medium",
    0x1F3FE: "medium-dark",
    0x1F3FF: "dark",
}
#: the yellow of an emoji without a modifier
DEFAULT_TONE = "default"
#: letters of a flag's region, and what ends them; some sets leave the end out
TAGS, CANCEL_TAG = range(0xE0020, 0xE007F), 0xE007F
FLAGS, SYMBOLS, ANIMALS = "Flags", "Symbols", "Animals & Nature"
#: groups of one world: a cat's face and a cat, a person's heart and a heart belong together
CREATURES = ("Smileys & Emotion", "People & Body", ANIMALS)
#: words that say who, not what
PEOPLE = {"man", "woman", "person", "men", "women", "people", "old", "older"}
SHORTEST_PLURAL, SINGULAR_ENDINGS = 3, ("ss", "us", "is", "'s")
_NUMBERS = {2: "two", 3: "three", 4: "four"}
_PLURALS = {"man": "men", "woman": "women", "child": "children"}
NO_CODE_POINTS = "its name is not made of code points, hexadecimal numbers with - between"
NO_EMOJI = "no emoji has these code points"
CAPTIONS_FILE = "emoji_captions.csv"
_HAIR = re.compile(r"(person|man|woman) (.+ hair|beard|bald)")
_CLOCK = re.compile(r"([a-z]+)(?: o'clock|(-thirty))")
_COUPLE = re.compile(r"(kiss|couple with heart) (man|woman), (man|woman)")
_PREPOSITION = re.compile(r" (?:with|without|behind|of|in|on|and|from|showing) ")
#: nouns whose pictures are alike
_SAME_KIND = {
    "mermaid": "merperson",
    "merman": "merperson",
    "prince": "royal",
    "princess": "royal",
    "boy": "child",
    "girl": "child",
    "baby": "child",
    "mouse": "rat",
    "leopard": "tiger",
    "mammoth": "elephant",
    "bison": "ox",
    "goat": "ram",
    "ewe": "ram",
    "rooster": "chicken",
    "minibus": "bus",
    "trolleybus": "bus",
    "speedboat": "boat",
    "ferry": "ship",
    "departure": "airplane",
    "arrival": "airplane",
    "cableway": "railway",
    "tramway": "railway",
    "bicep": "arm",
    "together": "hand",
    "sign": "hand",
    "gesture": "hand",
    "handshake": "hand",
    "anxious face": "fearful face",
    "enraged face": "angry face",
}


@dataclass(frozen=True)
class Emoji:
    """One picture of an emoji set.

    Attributes:
        codes: the code points as in the file's name, hexadecimal.
        name: the Unicode name, without skin tones, in plain quotes.
        caption: what is seen, in plain words.
        subject: the code points without skin tones and variation selectors; pictures of one subject differ in these.
        skin_tone: one of `SKIN_TONES`, several joined by "and", or `DEFAULT_TONE`.
        group: the group of the Unicode emoji list.
        family: what subjects of the same kind share; the subject itself where its name says nothing.
    """

    codes: str
    name: str
    caption: str
    subject: str
    skin_tone: str
    group: str
    family: str


@dataclass(frozen=True)
class EmojiNames:
    """Name and group of every emoji, by its code points without variation selectors."""

    by_codes: Mapping[tuple[int, ...], tuple[str, str]]

    @classmethod
    def from_json(cls, text: bytes, source: str) -> "EmojiNames":
        """Read `data-by-emoji.json` of unicode-emoji-json.

        Raises:
            UserError: `source` is no such file.
        """
        try:
            entries = parse_json(source, text)
            by_codes = {
                tuple(code for code in map(ord, emoji) if code != VARIATION_SELECTOR): (
                    _plain(entry["name"]),
                    str(entry["group"]),
                )
                for emoji, entry in entries.items()
            }
        except (AttributeError, TypeError, KeyError) as error:
            raise UserError(f"{source} is no table of emoji with name and group: {error!r}") from error
        return cls(by_codes)

    def identify(self, stem: str) -> Emoji:
        """What the picture in a file of this name (without folder and ending) is.

        Raises:
            UserError: `NO_CODE_POINTS` or `NO_EMOJI`; the caller names the file.
        """
        codes = code_points(stem)
        tones = list(dict.fromkeys(SKIN_TONES[code] for code in codes if code in SKIN_TONES))
        base = tuple(code for code in codes if code not in SKIN_TONES and code != VARIATION_SELECTOR)
        if not base or base not in self.by_codes:
            raise UserError(NO_EMOJI)
        name, group = self.by_codes[base]
        subject = _hexadecimal(base)
        tone = " and ".join(tones) or DEFAULT_TONE
        caption = caption_of(name)
        return Emoji(
            codes=_hexadecimal(codes),
            name=name,
            caption=caption if tone == DEFAULT_TONE else f"{caption}, {tone} skin",
            subject=subject,
            skin_tone=tone,
            group=group,
            family=family_of(name, group) or subject,
        )


def code_points(stem: str) -> tuple[int, ...]:
    """The code points in a file's name: hexadecimal numbers with - or _ between them.

    Raises:
        UserError: `NO_CODE_POINTS`; the caller names the file.
    """
    try:
        codes = [int(part, 16) for part in re.split("[-_]", stem)]
        for code in codes:
            chr(code)
    except (ValueError, OverflowError):
        raise UserError(NO_CODE_POINTS) from None
    if codes[-1] in TAGS:
        codes.append(CANCEL_TAG)
    return tuple(codes)


def caption_of(name: str) -> str:
    """A Unicode name in words that say what is seen."""
    if (caption := _captions().get(name)) is not None:
        return caption
    if match := _HAIR.fullmatch(name):
        person, look = match.groups()
        return f"bald {person}" if look == "bald" else f"{person} with {'a ' * (look == 'beard')}{look}"
    if match := _CLOCK.fullmatch(name):
        return f"clock showing half past {match[1]}" if match[2] else f"clock showing {match[0]}"
    if match := _COUPLE.fullmatch(name):
        return f"{_count(match.groups()[1:])} {'kissing' if match[1] == 'kiss' else 'under a heart'}"
    if name.startswith("family "):
        return f"family of {_count(name.removeprefix('family ').split(', '))}"
    if name.startswith("flag "):
        return f"flag of {name.removeprefix('flag ')}"
    if name.startswith("keycap "):
        return f"key with {name.removeprefix('keycap ')}"
    return name


def _count(people: Sequence[str]) -> str:
    """("man", "girl", "girl") is "a man and two girls"."""
    *first, last = (
        f"{_NUMBERS[count]} {_PLURALS.get(person, f'{person}s')}"
        if count > 1
        else f"{'an' if person[0] in 'aeiou' else 'a'} {person}"
        for person, count in Counter(people).items()
    )
    return f"{', '.join(first)} and {last}" if first else last


def family_of(name: str, group: str) -> str:
    """What emoji of the same kind share: nearly always the noun that a name ends in ("red heart", "heart with arrow").

    Men, women and persons who do the same are one family, as are all flags and all clock faces. Faces of smileys are
    kept apart by the word before. Empty where the name has no such word.
    """
    if group == FLAGS:
        return "flag"
    text = re.sub(r" *\(.*?\)", "", name.lower())
    if _CLOCK.fullmatch(text):
        return "Travel & Places: clock"
    first_word = text.split(" ", 1)[0]
    if first_word in ("family", "kiss"):
        return first_word
    realm = "creatures" if group in CREATURES else group
    for part in _PREPOSITION.split(text):
        words = [word for word in re.split("[ ,]+", part) if word not in PEOPLE]
        if group == ANIMALS and len(words) > 1 and words[-1] == "face":
            words.pop()
        if words and words != ["face"]:
            return f"{realm}: {_noun(words)}"
    return "creatures: person" if set(text.split(" ")) <= PEOPLE else ""


def _noun(words: Sequence[str]) -> str:
    """The last word, in the singular; of a face the word before it too."""
    noun = words[-1]
    if noun == "face":
        noun = " ".join(words[-2:])
    elif len(noun) > SHORTEST_PLURAL and noun.endswith("s") and not noun.endswith(SINGULAR_ENDINGS):
        noun = noun[:-1]
    return _SAME_KIND.get(noun, noun)


def slug_of(name: str) -> str:
    """A name as part of a file's: lower-case letters without accents, digits, and - for everything else."""
    letters = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    return re.sub("[^a-z0-9]+", "-", letters.replace("'", "")).strip("-")


def _plain(name: str) -> str:
    return name.translate({ord("’"): "'", ord("“"): '"', ord("”"): '"'})


def _hexadecimal(codes: Sequence[int]) -> str:
    return "-".join(f"{code:x}" for code in codes)


@lru_cache
def _captions() -> dict[str, str]:
    table = open_table(str(resources.files(__package__) / CAPTIONS_FILE), needed=("name", "caption"))
    return {row.values["name"]: row.values["caption"] for row in table.rows()}
