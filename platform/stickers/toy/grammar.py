"""The toy world's prompts and stickers. What is kept for evaluation never enters a plan, and the other way round.

Prompts are balanced over the paper's three buckets (section 2.3).
"""

import numpy as np

from stickers.artifacts.ids import prompt_id
from stickers.artifacts.records import Prompt, Sticker
from stickers.data.encoding import canonical
from stickers.errors import UserError
from stickers.prompts.sticker_tables import IMAGES_PER_PROMPT, make_sticker
from stickers.toy.characters import SUBJECTS
from stickers.toy.oracle import draw_sticker
from stickers.toy.words import BUCKET_OF, BUCKETS, PHRASES, held_out, pairs


def toy_prompts(num_prompts: int, seed: int) -> list[Prompt]:
    """Distinct prompts of the toy grammar, equally many a bucket, motions and subjects in turn.

    A few open-ended prompts name the subject alone ("a fox") and so admit every open-ended motion; they use only
    subjects of which no such pair is held out.
    """
    return _balanced(num_prompts, seed, held=False)


def held_out_prompts(num_prompts: int, seed: int) -> list[Prompt]:
    """Prompts for evaluation: subject-and-motion pairs that no training set, plan or kept set contains."""
    return _balanced(num_prompts, seed, held=True)


def open_subjects() -> list[str]:
    """Subjects whose single-word prompt admits no held-out motion."""
    return [s for s in SUBJECTS if not any(held_out(s, motion) for motion in BUCKETS["open-ended"])]


def _balanced(num_prompts: int, seed: int, *, held: bool) -> list[Prompt]:
    rng = np.random.default_rng([seed, int(held)])
    queues = {bucket: _queue(bucket, rng, held=held) for bucket in BUCKETS}
    room = sum(len(queue) for queue in queues.values())
    if not 1 <= num_prompts <= room:
        raise UserError(
            f"the toy grammar has {room} such prompts, asked for {num_prompts}; accepted: 1 to {room}"
        )
    source = "toy grammar, held out" if held else "toy grammar"
    chosen: list[Prompt] = []
    while len(chosen) < num_prompts:
        for bucket, queue in queues.items():
            if queue and len(chosen) < num_prompts:
                text = queue.pop(0)
                chosen.append(Prompt(prompt_id=prompt_id(text), text=text, bucket=bucket, source=source))
    return chosen


def _queue(bucket: str, rng: np.random.Generator, *, held: bool) -> list[str]:
    """Every prompt of a bucket: motion by motion in turn, each motion's subjects shuffled, a new phrase each time."""
    turns: list[list[str]] = []
    for motion in BUCKETS[bucket]:
        subjects = [s for s, m in pairs(held=held) if m == motion]
        rng.shuffle(subjects)
        phrases = rng.permutation(PHRASES[motion])
        count = len(subjects) * len(phrases)
        turns.append(
            [
                f"{_article(subjects[i % len(subjects)])} {_phrase(phrases, i, len(subjects))}"
                for i in range(count)
            ]
        )
    if bucket == BUCKET_OF["sway"] and not held:
        turns.append([_article(subject) for subject in rng.permutation(open_subjects())])
    longest = max(len(turn) for turn in turns)
    return [turn[i] for i in range(longest) for turn in turns if i < len(turn)]


def _article(subject: str) -> str:
    return f"{'an' if subject[0] in 'aeiou' else 'a'} {subject}"


def _phrase(phrases: np.ndarray, index: int, num_subjects: int) -> str:
    """Each subject meets each phrase once, and neighbours in the queue differ in both."""
    return str(phrases[(index % num_subjects + index // num_subjects) % len(phrases)])


def toy_stickers(prompts: list[Prompt], size: int) -> list[Sticker]:
    """Two pictures per prompt, drawn by the toy world's static stickers model at `size` pixels."""
    return [
        make_sticker(
            prompt.prompt_id, index, canonical(draw_sticker(prompt.text, index, size)[None], size)[0]
        )
        for prompt in prompts
        for index in range(IMAGES_PER_PROMPT)
    ]
