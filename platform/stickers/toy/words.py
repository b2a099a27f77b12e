"""The toy world's language: prompts, good and noisy captions, and which motions a prompt admits.

Prompts fall into the paper's three buckets (section 2.3): action, emotion and open-ended. The last admits several
motions when it is a single subject ("a fox"), as the paper's single-word prompts do.
"""

from dataclasses import dataclass

import numpy as np

from stickers.errors import UserError
from stickers.toy.characters import SUBJECTS
from stickers.toy.motions import MOTIONS

BUCKETS: dict[str, tuple[str, ...]] = {
    "action": ("wave", "jump", "run", "kick", "dance"),
    "emotion": ("laugh", "cry", "cheer", "stomp"),
    "open-ended": ("sway", "float", "swell"),
}
BUCKET_OF = {motion: bucket for bucket, motions in BUCKETS.items() for motion in motions}

PHRASES: dict[str, tuple[str, ...]] = {
    "wave": ("waving", "waving hello", "waving a hand"),
    "jump": ("jumping", "jumping up and down", "hopping"),
    "run": ("running", "running fast", "jogging"),
    "kick": ("kicking", "kicking a leg out", "doing a high kick"),
    "dance": ("dancing", "dancing to music", "grooving"),
    "laugh": ("laughing", "laughing out loud", "giggling"),
    "cry": ("crying", "crying big tears", "sobbing"),
    "cheer": ("cheering", "cheering with joy", "celebrating"),
    "stomp": ("stomping angrily", "in a rage", "furious"),
    "sway": ("in the breeze", "swaying in the wind", "on a boat"),
    "float": ("floating", "in space", "drifting under water"),
    "swell": ("breathing deeply", "swelling up", "taking a deep breath"),
}
NOISE = ("gif", "sticker", "cute", "funny", "animated", "free", "pack 3", "download", "hd", "lol")
BULK_PHRASES = {
    "slide": "sliding",
    "bounce": "bouncing",
    "spin": "spinning",
    "zoom": "growing",
    "rock": "rocking",
    "drift": "drifting",
}


@dataclass(frozen=True)
class Meaning:
    """What a toy prompt says: its subject, the motions it admits and its bucket."""

    subject: str
    motions: tuple[str, ...]
    bucket: str


def held_out(subject: str, motion: str) -> bool:
    """Whether this pair is kept for evaluation: in no training set, plan or kept set. One pair in six is."""
    return (list(SUBJECTS).index(subject) * 5 + list(MOTIONS).index(motion)) % 6 == 0


def pairs(*, held: bool) -> list[tuple[str, str]]:
    """All (subject, motion) pairs on one side of the hold-out, in a fixed order."""
    return [(s, m) for m in MOTIONS for s in SUBJECTS if held_out(s, m) == held]


def prompt(subject: str, motion: str, rng: np.random.Generator) -> str:
    """A clean prompt or caption for the pair."""
    article = "an" if subject[0] in "aeiou" else "a"
    return f"{article} {subject} {rng.choice(PHRASES[motion])}"


def noisy_caption(subject: str, motion: str, rng: np.random.Generator) -> str:
    """What collections really say: keyword soup, the wrong verb (none that is held out), a file name, or nothing."""
    kind = rng.choice(("soup", "wrong", "file", "none", "subject"), p=(0.5, 0.15, 0.1, 0.15, 0.1))
    words = list(rng.choice(NOISE, size=2, replace=False))
    if kind == "soup":
        return f"{words[0]} {subject} {rng.choice(PHRASES[motion])} {words[1]}"
    if kind == "wrong":
        wrong = str(rng.choice([other for other in MOTIONS if not held_out(subject, other)]))
        return f"{subject} {rng.choice(PHRASES[wrong])}"
    if kind == "file":
        return f"IMG_{rng.integers(1000, 9999)}"
    return "" if kind == "none" else f"{words[0]} {subject}"


def thing_caption(texture: str, shape: str, motion: str) -> str:
    """The caption of a general-domain clip."""
    return f"a {texture} {shape} {BULK_PHRASES[motion]}"


def puppet_caption(bands: str, kind: str, motion: str, rng: np.random.Generator) -> str:
    """The caption of a jointed thing of the general domain: words for motion are those of the stickers."""
    return f"a {bands} {kind} {rng.choice(PHRASES[motion])}"


def meaning(text: str) -> Meaning:
    """Read a toy prompt back.

    Raises:
        UserError: the text is not one of the toy world's prompts.
    """
    words = text.split()
    subject = next((w for w in words if w in SUBJECTS), None)
    if subject is None:
        raise UserError(f"prompt {text!r} names none of the toy subjects: {', '.join(SUBJECTS)}")
    rest = text.split(subject, 1)[1].strip()
    if not rest:
        return Meaning(subject, BUCKETS["open-ended"], "open-ended")
    motion = next((m for m, phrases in PHRASES.items() if rest in phrases), None)
    if motion is None:
        raise UserError(f"prompt {text!r} names no motion the toy world can draw; try {PHRASES['wave'][0]!r}")
    return Meaning(subject, (motion,), BUCKET_OF[motion])


def asked_for(prompt: str) -> str:
    """The motion that a toy prompt asks for, or that it leaves open which.

    Raises:
        UserError: the prompt is none of the toy world's.
    """
    motions = meaning(prompt).motions
    return motions[0] if len(motions) == 1 else "any of several"


def says_held_out(text: str) -> bool:
    """Whether a text is a prompt of the toy world that admits a held-out motion, however it came to be written."""
    try:
        parsed = meaning(text)
    except UserError:
        return False
    return any(held_out(parsed.subject, motion) for motion in parsed.motions)


def corpus() -> list[str]:
    """Every sentence the tokenizer should know well."""
    stickers = [f"{a} {s} {p}" for a in ("a", "an") for s in SUBJECTS for ps in PHRASES.values() for p in ps]
    from stickers.toy.objects import OBJECTS, TEXTURES
    from stickers.toy.puppets import BANDS, PUPPETS

    things = [thing_caption(t, o, m) for t in TEXTURES for o in OBJECTS for m in BULK_PHRASES]
    puppets = [f"a {b} {k} {p}" for b in BANDS for k in PUPPETS for ps in PHRASES.values() for p in ps]
    return stickers + things + puppets + list(NOISE)
