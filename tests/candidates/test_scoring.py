"""What programs say of candidates: written beside them, in any batch the same, and nothing is lost by it."""

from dataclasses import replace

import numpy as np

from stickers.artifacts.records import CANDIDATES, Candidate
from stickers.artifacts.schema import table_of
from stickers.candidates.scoring import flags_of, score
from stickers.toy.faults import nothing, pulsing, still
from stickers.toy.motions import Mode, render_motion
from stickers.toy.oracle import look_of
from stickers.video.codec import encode_strip
from stickers.video.motion import motion_score
from tests.support.candidates import make_candidate

DICE = np.random.default_rng(0)
CLIP = render_motion(look_of("a cat waving", 0), "wave", Mode.draw(DICE), np.arange(8) / 8, 32)


def row_of(clip: np.ndarray) -> Candidate:
    return make_candidate(encode_strip(clip), num_frames=len(clip))


def test_a_row_gets_its_scores_and_keeps_everything_else() -> None:
    before = row_of(CLIP)
    after = score(before)
    assert after.motion_score == motion_score(CLIP) and flags_of(after) == ()
    assert replace(before, **{name: getattr(after, name) for name in vars(after)}) == after
    changed = {name for name in vars(after) if getattr(after, name) != getattr(before, name)}
    assert changed <= {"motion_score", "moving", "reversal", "pulse", "border", "saturated", "visible"}
    assert score(before) == after and score(after) == after, "the same numbers, however often"
    assert table_of([after], Candidate).schema == CANDIDATES


def test_faults_are_named() -> None:
    assert flags_of(score(row_of(still(CLIP, DICE)))) == ("frozen",)
    assert "flickering" in flags_of(score(row_of(pulsing(CLIP, DICE))))
    assert "empty" in flags_of(score(row_of(nothing(CLIP, DICE))))


def test_what_has_no_clip_passes_and_what_cannot_be_decoded_is_made_again() -> None:
    failed = replace(row_of(CLIP), status="failed", clip=None, clip_digest=None, error="no luck")
    assert score(failed) == failed
    torn = score(replace(row_of(CLIP), clip=b"RIFF and no more"))
    assert torn.status == "failed" and "cannot be decoded" in torn.error and torn.clip_digest is None
    odd = score(replace(row_of(CLIP), num_frames=7))
    assert odd.status == "failed" and "does not hold 7 equal frames" in odd.error
