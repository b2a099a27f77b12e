"""Makes a clean, safe set of distinct prompts from any sources, sorted into the paper's three buckets.

A prompt is only left out with a reason. The user's list decides which words are unsafe. Duplicates are found by words,
because short prompts may differ in a single one that matters ("a cat jumping", "a bat jumping").
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
#: words that do not distinguish two prompts
FILLERS = (
    "a an the is are was am be being been of with in on at to and or its his her their very so it that this"
)
#: share of common words from which two prompts are near-duplicates; prompts with fewer words must agree in all
SAME_SHARE, SAME_WORDS = 0.8, 5
ROWS_AT_ONCE = 2048
#: verbs, in all their forms; emotions are looked for first, since people show them by actions
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
    """An English verb's regular forms: runs, running, runned (so some of them do not exist)."""
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


def no_prompt(_text: str) -> bool:
    """Reserves no prompt."""
    return False


@dataclass(frozen=True, kw_only=True)
class ProposedPrompt:
    """A prompt as a source gives it; an empty bucket is decided later."""

    text: str
    bucket: str = ""
    source: str


@dataclass(frozen=True, kw_only=True)
class PromptSet:
    """Usable prompts, and refused ones with their reasons; `uri` of a refused row is the beginning of the text."""

    prompts: list[Prompt]
    refused: list[Refused]

    def counts(self) -> dict[str, int]:
        """Number of prompts per bucket."""
        counts = Counter(prompt.bucket for prompt in self.prompts)
        return {bucket: counts[bucket] for bucket in BUCKETS}


def sort_out(
    proposed: Iterable[ProposedPrompt],
    *,
    unsafe: Sequence[str] = (),
    reserved: Reserved = no_prompt,
    balance: bool = False,
    most: int | None = None,
) -> PromptSet:
    """Clean, safe, distinct prompts with their buckets, in the order of `proposed`.

    Args:
        unsafe: words and phrases that no prompt may contain.
        reserved: whether a project keeps a prompt for its evaluation.
        balance: leave out prompts until all buckets that have prompts are as small as the smallest.
        most: maximal number of prompts; the rest is left out.

    Raises:
        UserError: an unsafe word has no letters.
    """
    banned = {word: tokens(folded(word)) for word in unsafe}
    for word, parts in banned.items():
        if not parts:
            raise UserError(f"the unsafe word {word!r} has no letters or digits to look for")
    prompts: list[Prompt] = []
    refused: list[Refused] = []
    for candidate in proposed:
        try:
            prompts.append(_prompt(candidate, banned, reserved))
        except UserError as error:
            refused.append(_refusal(candidate.text, candidate.source, str(error)))
    prompts, doubles = distinct(prompts)
    refused += doubles
    if balance:
        prompts, surplus = _balanced(prompts)
        refused += surplus
    if most is not None:
        refused += [
            _refusal(prompt.text, prompt.source, f"more than the {most} asked for")
            for prompt in prompts[most:]
        ]
    return PromptSet(prompts=prompts[:most], refused=refused)


def _prompt(proposed: ProposedPrompt, banned: dict[str, tuple[str, ...]], reserved: Reserved) -> Prompt:
    text, bucket = check_prompt(proposed.text), proposed.bucket.strip()
    if bucket and bucket not in BUCKETS:
        raise UserError(f"bucket {bucket!r} is unknown; accepted: {', '.join(BUCKETS)}")
    if reserved(text):
        raise UserError("the project keeps it for its evaluation")
    words = tokens(folded(text))
    for word, parts in banned.items():
        if contains_phrase(words, parts):
            raise UserError(f"it says {word!r}, which the list of unsafe words names")
    bucket = bucket or bucket_of(text)
    return Prompt(prompt_id=prompt_id(text), text=text, bucket=bucket, source=proposed.source)


def folded(text: str) -> str:
    """A text in the form for comparisons: without accents and invisible characters (joiners, direction marks)."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if unicodedata.category(c) not in ("Mn", "Cf"))


def bucket_of(text: str) -> str:
    """The bucket of an English prompt by its words: emotion, else action, else open-ended.

    This knows about two hundred everyday words and no grammar ("not sad" is an emotion, "a fishing rod" an action).
    Prompts of unknown words or in other languages are open-ended. A bucket in the user's table has precedence.
    """
    words = frozenset(tokens(folded(text)))
    if words & _EMOTIONS:
        return "emotion"
    return "action" if words & _ACTIONS else OPEN


def words_of(text: str) -> frozenset[str]:
    """The words that distinguish a prompt from others."""
    words = tokens(folded(text))
    return frozenset(word for word in words if word not in _FILLERS) or frozenset(words) or frozenset((text,))


def distinct(prompts: Sequence[Prompt]) -> tuple[list[Prompt], list[Refused]]:
    """Keep the first prompt of each group of near-duplicates; the others are refused with the prompt they repeat.

    Two prompts are near-duplicates when they have the same words, whatever their order, or when both have at least
    `SAME_WORDS` and share `SAME_SHARE` of all (Jaccard).
    """
    if not prompts:
        return [], []
    word_sets = [words_of(prompt.text) for prompt in prompts]
    number = {word: i for i, word in enumerate(sorted(frozenset().union(*word_sets)))}
    columns = [number[word] for words in word_sets for word in sorted(words)]
    starts = np.cumsum([0, *map(len, word_sets)])
    table = csr_matrix(
        (np.ones(len(columns), np.int32), columns, starts), shape=(len(word_sets), len(number))
    )
    sizes = np.diff(starts)
    repeats: dict[int, int] = {}
    for first in range(0, len(word_sets), ROWS_AT_ONCE):
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
    kept = [prompt for i, prompt in enumerate(prompts) if i not in repeats]
    doubles = [
        _refusal(prompts[i].text, prompts[i].source, f"it repeats {prompts[other].text!r}")
        for i, other in sorted(repeats.items())
    ]
    return kept, doubles


def _balanced(prompts: Sequence[Prompt]) -> tuple[list[Prompt], list[Refused]]:
    """The first prompts of each bucket, as many as the smallest bucket has, and the refused others."""
    least = min(Counter(prompt.bucket for prompt in prompts).values(), default=0)
    counts: Counter[str] = Counter()
    kept, surplus = [], []
    for prompt in prompts:
        counts[prompt.bucket] += 1
        if counts[prompt.bucket] <= least:
            kept.append(prompt)
        else:
            reason = f"bucket {prompt.bucket} has more than the {least} of the smallest one"
            surplus.append(_refusal(prompt.text, prompt.source, reason))
    return kept, surplus


def _refusal(text: str, source: str, reason: str) -> Refused:
    beginning = text if len(text) <= 80 else f"{text[:80]}..."
    return Refused(uri=beginning.encode("utf-8", "replace").decode(), source=source, reason=reason)
