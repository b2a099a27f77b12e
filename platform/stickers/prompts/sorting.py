"""Prompts from anywhere become a set: clean, safe, each said once, and sorted into the paper's three buckets.

Whatever is left out is left out with a reason. What counts as unsafe is the user's to say; what counts as the same is
decided by words, because prompts of a few words differ by one that matters ("a cat jumping", "a bat jumping").
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from stickers.artifacts.ids import prompt_id
from stickers.artifacts.records import Prompt, Refused
from stickers.curation.keywords import contains_phrase, tokens
from stickers.errors import UserError
from stickers.pipeline import check_prompt

OPEN = "open-ended"
BUCKETS = ("action", "emotion", OPEN)
#: words that do not tell two prompts apart
FILLERS = (
    "a an the is are was am be being been of with in on at to and or its his her their very so it that this"
)
#: shared words of all words, from which two prompts are near-duplicates; prompts of fewer words must agree in all
SAME_SHARE, SAME_WORDS = 0.8, 5
ROWS_AT_ONCE = 2048
#: verbs, whose forms are found too; an emotion is looked for first, since people show theirs by what they do
EMOTIONAL = """
blush celebrate cheer cry frown giggle grieve grin laugh love mourn pout smile smirk sob sulk sigh weep worry panic
tremble rejoice
"""
EMOTIONS = """
afraid anger angrily angry anxious annoyed ashamed bashful bored cheerful confused dejected delighted depressed
desperate disappointed disgusted ecstatic elated embarrassed enraged excited excitedly frightened frustrated fury
furious gloomy grateful grief grumpy guilty happily happiness happy heartbroken hopeful horrified hurt jealous
jealousy joy joyful lonely mad melancholy miserable nervous nervously overjoyed proud proudly rage relieved
romantic sad sadly sadness scared shame shocked shy shyly sleepy sorrow sorry stressed surprised tears terrified
thrilled tired upset
"""
ACTIONS = """
bake bark bite blow bounce bow box carry catch chase chop clap climb cook crawl dance dig dive draw drink drive
drum eat exercise fall fight fish flap flip float fly gallop groove high-five hike hit hop hug hunt jog juggle jump
kick kiss knit knock lift march meditate nod paddle paint pedal perform plant play point pour pull punch push race
rap read ride roar roll row run sail salute scroll shake shoot shovel sing skate sketch ski skip slap sled slide
smash snowboard speed spin splash sprint stomp stretch stroke surf sweep swim swing tap throw tiptoe toss twirl
twist type walk wash wave weave wink work wrestle write yawn zoom
"""
VOWELS = frozenset("aeiou")


def forms_of(verb: str) -> frozenset[str]:
    """An English verb's regular forms: runs, running, runned (and so, beside real ones, some that nobody says)."""
    stem = verb[:-1] if verb.endswith("e") else verb
    if len(verb) > 2 and verb[-1] not in "aeiouwxy" and verb[-2] in VOWELS and verb[-3] not in VOWELS:
        stem = verb + verb[-1]
    past = f"{verb[:-1]}ied" if verb.endswith("y") and verb[-2] not in VOWELS else f"{stem}ed"
    third = (
        f"{verb[:-1]}ies" if past.endswith("ied")
        else f"{verb}es" if verb.endswith(("s", "x", "z", "ch", "sh", "o")) else f"{verb}s"
    )  # fmt: skip
    return frozenset((verb, past, third, f"{verb if past.endswith('ied') else stem}ing"))


_FILLERS = frozenset(FILLERS.split())
_EMOTIONS = frozenset(EMOTIONS.split()).union(*map(forms_of, EMOTIONAL.split()))
_ACTIONS = frozenset[str]().union(*map(forms_of, ACTIONS.split()))


#: whether a prompt is kept for evaluation
Reserved = Callable[[str], bool]


def no_prompt(text: str) -> bool:
    """Nothing is reserved."""
    return False


@dataclass(frozen=True, kw_only=True)
class ProposedPrompt:
    """A prompt as somebody gave it; an empty bucket is still to be found."""

    text: str
    bucket: str = ""
    source: str


@dataclass(frozen=True, kw_only=True)
class PromptSet:
    """What can be used, and what cannot with its reason; `uri` of a refused row is the text's beginning."""

    prompts: list[Prompt]
    refused: list[Refused]

    def counts(self) -> dict[str, int]:
        """Prompts a bucket."""
        found = Counter(each.bucket for each in self.prompts)
        return {bucket: found[bucket] for bucket in BUCKETS}


def sort_out(
    said: Iterable[ProposedPrompt],
    *,
    unsafe: Sequence[str] = (),
    reserved: Reserved = no_prompt,
    balance: bool = False,
    most: int | None = None,
) -> PromptSet:
    """Clean, safe, distinct prompts in their buckets, in the order given.

    Args:
        unsafe: words and phrases that no prompt may say.
        reserved: says which prompts a project keeps for its evaluation.
        balance: leave prompts out until no bucket has more than the smallest that has any.
        most: leave out what is more.

    Raises:
        UserError: an unsafe word has no letters.
    """
    banned = {word: tokens(folded(word)) for word in unsafe}
    for word, parts in banned.items():
        if not parts:
            raise UserError(f"the unsafe word {word!r} has no letters or digits to look for")
    prompts: list[Prompt] = []
    refused: list[Refused] = []
    for each in said:
        try:
            prompts.append(_prompt(each, banned, reserved))
        except UserError as error:
            refused.append(_refusal(each.text, each.source, str(error)))
    prompts, doubles = distinct(prompts)
    refused += doubles
    if balance:
        prompts, left = _balanced(prompts)
        refused += left
    if most is not None:
        refused += [
            _refusal(each.text, each.source, f"more than the {most} asked for") for each in prompts[most:]
        ]
    return PromptSet(prompts=prompts[:most], refused=refused)


def _prompt(said: ProposedPrompt, banned: dict[str, tuple[str, ...]], reserved: Reserved) -> Prompt:
    text, bucket = check_prompt(said.text), said.bucket.strip()
    if bucket and bucket not in BUCKETS:
        raise UserError(f"bucket {bucket!r} is unknown; accepted: {', '.join(BUCKETS)}")
    if reserved(text):
        raise UserError("the project keeps it for its evaluation")
    words = tokens(folded(text))
    for word, parts in banned.items():
        if contains_phrase(words, parts):
            raise UserError(f"it says {word!r}, which the list of unsafe words names")
    return Prompt(prompt_id=prompt_id(text), text=text, bucket=bucket or bucket_of(text), source=said.source)


def folded(text: str) -> str:
    """A text as it is compared: without accents, and without what is not seen (joiners, marks of direction)."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if unicodedata.category(c) not in ("Mn", "Cf"))


def bucket_of(text: str) -> str:
    """The bucket of a prompt in English by its words: emotion, else action, else open-ended.

    It knows some two hundred everyday words and no grammar ("not sad" is an emotion, "a fishing rod" an action); what
    it does not know, other languages included, is open-ended. Whoever knows better gives the bucket.
    """
    words = frozenset(tokens(folded(text)))
    if words & _EMOTIONS:
        return "emotion"
    return "action" if words & _ACTIONS else OPEN


def words_of(text: str) -> frozenset[str]:
    """The words that tell a prompt from others."""
    every = tokens(folded(text))
    return frozenset(word for word in every if word not in _FILLERS) or frozenset(every) or frozenset((text,))


def distinct(prompts: Sequence[Prompt]) -> tuple[list[Prompt], list[Refused]]:
    """The first of every group of near-duplicates, and each other one with the one that it repeats.

    Two prompts are near-duplicates when they have the same words, whatever their order, or when both have at least
    `SAME_WORDS` and share `SAME_SHARE` of all (Jaccard).
    """
    if not prompts:
        return [], []
    said = [words_of(each.text) for each in prompts]
    number = {word: i for i, word in enumerate(sorted(frozenset().union(*said)))}
    columns = [number[word] for words in said for word in sorted(words)]
    starts = np.cumsum([0, *map(len, said)])
    table = csr_matrix((np.ones(len(columns), np.int32), columns, starts), shape=(len(said), len(number)))
    sizes = np.diff(starts)
    repeats: dict[int, int] = {}
    for first in range(0, len(said), ROWS_AT_ONCE):
        shared = (table[first : first + ROWS_AT_ONCE] @ table.T).tocoo()
        rows, others = shared.row + first, shared.col
        least = np.minimum(sizes[rows], sizes[others])
        needed = np.where(least < SAME_WORDS, 1.0, SAME_SHARE)
        alike = shared.data >= needed * (sizes[rows] + sizes[others] - shared.data)
        for row, other in sorted(
            zip(rows[alike & (others < rows)], others[alike & (others < rows)], strict=True)
        ):
            if int(other) not in repeats:
                repeats.setdefault(int(row), int(other))
    kept = [each for i, each in enumerate(prompts) if i not in repeats]
    doubles = [
        _refusal(prompts[i].text, prompts[i].source, f"it repeats {prompts[other].text!r}")
        for i, other in sorted(repeats.items())
    ]
    return kept, doubles


def _balanced(prompts: Sequence[Prompt]) -> tuple[list[Prompt], list[Refused]]:
    """As many prompts of each bucket as the smallest one has, the first ones."""
    least = min(Counter(each.bucket for each in prompts).values(), default=0)
    seen: Counter[str] = Counter()
    kept, left = [], []
    for each in prompts:
        seen[each.bucket] += 1
        if seen[each.bucket] <= least:
            kept.append(each)
        else:
            reason = f"bucket {each.bucket} has more than the {least} of the smallest one"
            left.append(_refusal(each.text, each.source, reason))
    return kept, left


def _refusal(text: str, source: str, reason: str) -> Refused:
    beginning = text if len(text) <= 80 else f"{text[:80]}..."
    return Refused(uri=beginning.encode("utf-8", "replace").decode(), source=source, reason=reason)
