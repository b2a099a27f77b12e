"""What a clip of the pilot is worth, in [0, 1]: by people's votes, by the project's truth, or by pixels alone.

A quality is injected into the counting, which knows none of them. Votes are what counts; without them a project
may have a truth, and otherwise there are the pixels, which see motion and consistency but not whether it is the motion
that the prompt asks for: of two teachers that move alike they cannot tell which one listens.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stickers.annotation.store.votes import votes_digest
from stickers.artifacts.records import Candidate, Vote
from stickers.errors import UserError
from stickers.evaluation.truth import Truth
from stickers.metrics.consistency import consistency
from stickers.metrics.motion_size import motion_size

HALF_MOTION = 2.0
"""Luma levels a frame at which motion counts half. A still counts nothing, and twice a large motion little more."""
SHARPNESS = 4
"""Power of the consistency: 0.95, a clean clip, counts 0.8; 0.8, a flickering one, 0.4."""
PIXELS_ABLE = 0.4
QUORUM_SHARE = 0.5
"""From half of those asked on, people agree more than they do not: two of three."""


@dataclass(frozen=True, kw_only=True)
class ClipMeasures:
    """A made clip as it was measured. `truth_error` (truth 0, still 1) is known where the project has a truth."""

    candidate_id: str
    clip_digest: str
    motion_size: float
    consistency: float
    truth_error: float | None


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How clips are scored: `able` is the score from which one is worth sharing, `explanation` one sentence for the
    page, `source` the digest of what it was read from, where that is not the clips."""

    name: str
    explanation: str
    able: float
    simulated: bool
    score: Callable[[ClipMeasures], float]
    source: str = ""


def measure(candidate: Candidate, frames_THWC: np.ndarray, truth_error: float | None = None) -> ClipMeasures:
    """A made candidate's pixels, measured."""
    assert candidate.clip_digest is not None
    return ClipMeasures(
        candidate_id=candidate.candidate_id,
        clip_digest=candidate.clip_digest,
        motion_size=motion_size(frames_THWC),
        consistency=consistency(frames_THWC),
        truth_error=truth_error,
    )


def by_truth(truth: Truth) -> Quality:
    """1 minus the truth error, at least 0: a clip no nearer to what its prompt admits than the frozen still is worth
    nothing, however wrong."""
    able = max(0.0, 1 - truth.able_error)

    def score(clip: ClipMeasures) -> float:
        assert clip.truth_error is not None
        return min(1.0, max(0.0, 1 - clip.truth_error))

    return Quality(
        name="truth",
        explanation=(
            f"quality is 1 - the error by {truth.name}: 1 is a clip that the prompt admits, 0 a still or worse; "
            f"worth sharing from {able:.2f} on"
        ),
        able=able,
        simulated=truth.simulated,
        score=score,
    )


def by_pixels() -> Quality:
    """Consistency to the fourth power times m / (m + 2), m being the motion size: large and clean motion, whatever it
    means. A frozen clip is worth 0, and so is one that is never the same."""

    def score(clip: ClipMeasures) -> float:
        lively = clip.motion_size / (clip.motion_size + HALF_MOTION)
        return clip.consistency**SHARPNESS * lively

    return Quality(
        name="pixels",
        explanation=(
            "quality is motion times consistency, read off the pixels: it does not know whether the motion is the one "
            f"asked for; worth looking at from {PIXELS_ABLE:.2f} on"
        ),
        able=PIXELS_ABLE,
        simulated=False,
        score=score,
    )


def by_votes(votes: Sequence[Vote], candidates: Sequence[Candidate]) -> Quality:
    """The share of the first round's annotators who picked the clip, of those it was shown to.

    Raises:
        UserError: a made clip was shown to nobody.
    """
    shares = approval(votes)
    unseen = [
        row for row in candidates if row.clip_digest and (row.candidate_id, row.clip_digest) not in shares
    ]
    if unseen:
        num_clips = sum(row.clip_digest is not None for row in candidates)
        raise UserError(
            f"{len(unseen)} of {num_clips} clips of plan {unseen[0].plan_id} were shown to nobody yet, "
            f"{unseen[0].candidate_id} is the first; votes count when every clip was judged"
        )
    return Quality(
        name="votes",
        explanation=(
            "quality is the share of annotators who picked the clip in the first round; "
            f"worth sharing from {QUORUM_SHARE:.2f} on"
        ),
        able=QUORUM_SHARE,
        simulated=any(vote.simulated for vote in votes),
        score=lambda clip: shares[clip.candidate_id, clip.clip_digest],
        source=votes_digest(list(votes)),
    )


def approval(votes: Sequence[Vote]) -> Mapping[tuple[str, str], float]:
    """By candidate id and clip digest, the share of the first round's annotators who picked the clip when shown it."""
    answers: defaultdict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for vote in votes:
        if vote.round == 1:
            for clip in zip(vote.shown, vote.shown_digests, strict=True):
                answers[clip][vote.annotator] = clip[0] in vote.picks
    return {clip: sum(picks.values()) / len(picks) for clip, picks in answers.items()}
