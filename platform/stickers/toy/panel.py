"""Simulated people, so that the toy world's chain runs without real ones. Whatever they touch says `simulated`.

They see what an annotator sees, decoded clips and the prompt, and nothing else: neither who made a clip nor any
number of the model. Shareability (motion quality, relevance, consistency) is read off the pixels by comparing with
all clips that the toy world's oracle admits; each person then errs at rates of their own.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from stickers.annotation.settings import Role, Settings
from stickers.annotation.simulated import SEED_RANGE, Strips
from stickers.artifacts.ids import content_id, seed_from
from stickers.artifacts.records import Candidate, Kept
from stickers.toy.oracle import draw_sticker, truths
from stickers.toy.words import asked_for, meaning
from stickers.video.clips import conditioning_index, on_white
from stickers.video.codec import decode_strip


@dataclass(frozen=True, kw_only=True)
class Rater:
    """A simulated person. `false_accept` and `false_reject` are the rates at which they err on a clip."""

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

    annotators: tuple[Rater, ...] = (
        Rater(name="simulated-annotator-1", false_accept=0.06, false_reject=0.10),
        Rater(name="simulated-annotator-2", false_accept=0.12, false_reject=0.06),
        Rater(name="simulated-annotator-3", false_accept=0.15, false_reject=0.15),
    )
    expert: Rater = Rater(name="simulated-expert", false_accept=0.02, false_reject=0.04)
    threshold: float = 0.75
    seed: int = 0

    settings: Settings = field(default_factory=Settings)

    def signature(self, rater: Rater) -> str:
        """The name under which `rater` votes. A changed panel is other people, whose votes stand beside the old."""
        return f"{rater.name}-{content_id('panel', self.rule())[:6]}"

    def rule(self) -> dict[str, Any]:
        """Everything that decides their answers."""
        return {name: value for name, value in asdict(self).items() if name != "settings"}

    def roles(self) -> dict[str, Role]:
        """Annotators and the expert by their signatures."""
        people: dict[str, Role] = {self.signature(rater): "annotator" for rater in self.annotators}
        return {**people, self.signature(self.expert): "expert"}

    def look(self, prompt: str, image_index: int, strips: Strips) -> dict[str, float]:
        """The relative error of each clip by its digest. UserError: the prompt is none of the toy world's."""
        meaning(prompt)
        return decode_and_measure((prompt, image_index, list(strips)))

    def shares(self, name: str, digest: str, value: float, *, round_number: int) -> bool:
        """Whether the rater who signs with `name` shares a clip of relative error `value`."""
        rater = next(one for one in (*self.annotators, self.expert) if self.signature(one) == name)
        return shares(rater, digest, value, self, round_number=round_number)

    def description(self) -> dict[str, Any]:
        """The rule, in JSON's types."""
        rule: dict[str, Any] = json.loads(json.dumps(self.rule()))
        return {
            "rule": "simulated people who compare clips with the toy world's truth and err at stated rates",
            **rule,
        }

    def summary(
        self, candidates: Sequence[Candidate], kept: Sequence[Kept], values: Mapping[str, float]
    ) -> dict[str, Any]:
        """How well the people chose by the oracle, and what was made and kept by what the prompts ask for."""
        return {
            "motions": by_motion(candidates, kept),
            "quality": quality_of_choice(candidates, kept, values, self.threshold),
        }


def relative_errors(clips: Sequence[np.ndarray], prompt: str, image_index: int) -> list[float]:
    """How far each clip of one toy sticker is from the nearest one its prompt admits, the frozen still being 1.

    Args:
        clips: uint8 RGBA `[T, S, S, 4]`, all of one size and number of frames.
        prompt: a prompt of the toy grammar.
        image_index: which of the prompt's pictures the clips animate.
    """
    num_frames, size = clips[0].shape[:2]
    still_at = conditioning_index("middle", num_frames)
    clips_admitted = truths(prompt, image_index, size=size, num_frames=num_frames, still_at=still_at)
    admitted = np.stack([_flat(clip) for clip in clips_admitted])
    still = np.repeat(draw_sticker(prompt, image_index, size)[None], num_frames, axis=0)
    frozen = _least(_flat(still), admitted)
    return [_least(_flat(clip), admitted) / frozen for clip in clips]


def _flat(clip_THWC: np.ndarray) -> np.ndarray:
    """Over white with alpha, on [0, 1], averaged over 2 x 2 pixels: people rate motion, not a decoder's sharpness."""
    pixels = on_white(clip_THWC).astype(np.float32) / 255
    frames, height, width, channels = pixels.shape
    return pixels.reshape(frames, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4)).ravel()


def _least(flat: np.ndarray, many: np.ndarray) -> float:
    return float(np.square(many - flat).mean(axis=1).min())


def shares(rater: Rater, digest: str, error: float, panel: Panel, *, round_number: int) -> bool:
    """Whether `rater` would share the clip: the right answer, or by their own rates the wrong one."""
    right = error <= panel.threshold
    rate = rater.false_reject if right else rater.false_accept
    slips = seed_from("slip", panel.seed, rater.name, round_number, digest) / SEED_RANGE < rate
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


def quality_of_choice(
    candidates: Sequence[Candidate], kept: Sequence[Kept], errors: Mapping[str, float], threshold: float
) -> dict[str, float]:
    """How well the people chose, by the oracle: of what they kept the right share, and of what was right the kept."""
    right = {
        row.clip_digest for row in candidates if row.clip_digest and errors[row.clip_digest] <= threshold
    }
    chosen = {row.clip_digest for row in kept}
    both = len(right & chosen)
    return {
        "right_share": round(len(right) / len(candidates), 4),
        "precision": round(both / max(1, len(chosen)), 4),
        "recall": round(both / max(1, len(right)), 4),
    }


def by_motion(candidates: Sequence[Candidate], kept: Sequence[Kept]) -> dict[str, dict[str, int]]:
    """Made and kept clips by what their prompts ask for: a motion of which nothing is kept is never learned."""
    num_made = Counter(asked_for(row.prompt) for row in candidates if row.clip_digest)
    num_kept = Counter(asked_for(row.prompt) for row in kept)
    return {motion: {"made": count, "kept": num_kept[motion]} for motion, count in sorted(num_made.items())}
