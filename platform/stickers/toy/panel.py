"""Simulated people, so that the toy world's chain runs without real ones. Whatever they touch says `simulated`.

They see what an annotator sees, decoded clips and the prompt, and nothing else: neither who made a clip nor any
number of the model. Shareability (motion quality, relevance, consistency) is read off the pixels by comparing with
all clips that the toy world's oracle admits; each person then errs at rates of their own.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from stickers.artifacts.ids import content_id, seed_from
from stickers.toy.oracle import draw_sticker, truths
from stickers.video.clips import conditioning_index, on_white
from stickers.video.codec import decode_strip


@dataclass(frozen=True, kw_only=True)
class Person:
    """`false_accept` and `false_reject` are the rates at which this person errs on a clip."""

    name: str
    false_accept: float
    false_reject: float


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Three annotators and an expert.

    A clip is worth sharing when its relative error is at most `threshold`: 0 is a clip that the prompt admits, 1 the
    frozen still. That one figure answers all three questions at once: a clip that hardly moves stays near 1, one that
    jumps or moves wrongly exceeds 1, and so does one that loses the character.
    """

    annotators: tuple[Person, ...] = (
        Person(name="simulated-annotator-1", false_accept=0.06, false_reject=0.10),
        Person(name="simulated-annotator-2", false_accept=0.12, false_reject=0.06),
        Person(name="simulated-annotator-3", false_accept=0.15, false_reject=0.15),
    )
    expert: Person = Person(name="simulated-expert", false_accept=0.02, false_reject=0.04)
    threshold: float = 0.75
    seed: int = 0

    def signature(self, person: Person) -> str:
        """The name under which `person` votes. A changed panel is other people, whose votes stand beside the old."""
        return f"{person.name}-{content_id('panel', asdict(self))[:6]}"

    def signatures(self) -> list[str]:
        """All names of this panel, the expert's last."""
        return [self.signature(person) for person in (*self.annotators, self.expert)]


def relative_errors(clips: Sequence[np.ndarray], prompt: str, image_index: int) -> list[float]:
    """How far each clip of one toy sticker is from the nearest one its prompt admits, the frozen still being 1.

    Args:
        clips: uint8 RGBA `[T, S, S, 4]`, all of one size and number of frames.
        prompt: a prompt of the toy grammar.
        image_index: which of the prompt's pictures the clips animate.
    """
    num_frames, size = clips[0].shape[:2]
    still_at = conditioning_index("middle", num_frames)
    found = truths(prompt, image_index, size=size, num_frames=num_frames, still_at=still_at)
    admitted = np.stack([_flat(clip) for clip in found])
    still = np.repeat(draw_sticker(prompt, image_index, size)[None], num_frames, axis=0)
    frozen = _least(_flat(still), admitted)
    return [_least(_flat(clip), admitted) / frozen for clip in clips]


def _flat(clip_THWC: np.ndarray) -> np.ndarray:
    """Over white with alpha, on [0, 1], averaged over 2 x 2 pixels: people judge motion, not a decoder's sharpness."""
    seen = on_white(clip_THWC).astype(np.float32) / 255
    frames, height, width, channels = seen.shape
    return seen.reshape(frames, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4)).ravel()


def _least(flat: np.ndarray, many: np.ndarray) -> float:
    return float(np.square(many - flat).mean(axis=1).min())


def shares(person: Person, digest: str, error: float, panel: Panel, *, round: int) -> bool:
    """Whether `person` would share the clip: the right answer, or by their own rates the wrong one."""
    right = error <= panel.threshold
    rate = person.false_reject if right else person.false_accept
    slips = seed_from("slip", panel.seed, person.name, round, digest) / 2**53 < rate
    return right != slips


def decode_and_measure(work: tuple[str, int, list[tuple[str, bytes, int]]]) -> dict[str, float]:
    """Errors by clip digest of one sticker's clips, given as (prompt, image index, [(digest, strip, num_frames)]).

    One picklable argument, so that a pool of processes can map over stickers.
    """
    prompt, image_index, strips = work
    clips = [decode_strip(strip, num_frames) for _, strip, num_frames in strips]
    errors: dict[str, float] = {}
    for shape in {clip.shape for clip in clips}:
        chosen = [i for i, clip in enumerate(clips) if clip.shape == shape]
        measured = relative_errors([clips[i] for i in chosen], prompt, image_index)
        errors |= {strips[i][0]: error for i, error in zip(chosen, measured, strict=True)}
    return errors
