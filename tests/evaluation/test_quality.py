"""What a clip is worth by votes, by a truth and by pixels; and what each of them cannot say."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from stickers.artifacts.ids import content_id
from stickers.artifacts.records import Candidate, Vote
from stickers.evaluation.quality import ClipMeasures, approval, by_pixels, by_truth, by_votes, measure
from stickers.toy.measure import ToyTruth
from stickers.toy.motions import Mode, render_motion
from stickers.toy.oracle import draw_sticker, look_of
from stickers.video.codec import encode_strip
from tests.support.candidates import make_candidate

PROMPT, SIZE = "a fox waving", 32
WAVING = render_motion(look_of(PROMPT, 0), "wave", Mode(hz=1 / 8), np.arange(8) - 3, SIZE)
STILL = np.repeat(draw_sticker(PROMPT, 0, SIZE)[None], 8, axis=0)


def candidate(frames: np.ndarray, seed: int = 0) -> Candidate:
    strip = encode_strip(frames)
    name = content_id("candidate", seed, strip)
    return make_candidate(
        strip, candidate_id=name, seed=seed, prompt=PROMPT, plan_id="pilot", motion_score=1.0
    )


def vote(person: str, shown: list[Candidate], picks: list[Candidate], *, round: int = 1) -> Vote:
    return Vote(
        job_id="job",
        annotator=person,
        round=round,
        plan_id="pilot",
        shown=[clip.candidate_id for clip in shown],
        shown_digests=[str(clip.clip_digest) for clip in shown],
        picks=[clip.candidate_id for clip in picks],
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
        simulated=person == "simulated",
    )


def measured(truth_error: float) -> ClipMeasures:
    return ClipMeasures(
        candidate_id="x", clip_digest="y", motion_size=1, consistency=1, truth_error=truth_error
    )


def test_quality_is_one_for_truth_and_zero_from_the_still_on() -> None:
    quality = by_truth(ToyTruth(able_error=0.65))
    assert [quality.score(measured(error)) for error in (0.0, 0.25, 1.0, 3.0)] == [1, 0.75, 0, 0]
    assert quality.able == pytest.approx(0.35) and quality.simulated and "0.35" in quality.explanation
    assert by_truth(ToyTruth(able_error=100)).able == 0


def test_pixels_want_motion_and_consistency_both() -> None:
    flicker = WAVING.copy()
    flicker[1::2, ..., :3] //= 3
    scores = {
        name: by_pixels().score(measure(candidate(frames), frames))
        for name, frames in {"waving": WAVING, "still": STILL, "flicker": flicker}.items()
    }
    assert scores["still"] == 0 < scores["flicker"] < scores["waving"] < 1
    assert not by_pixels().simulated and "does not know" in by_pixels().explanation


def test_votes_are_the_share_of_those_asked() -> None:
    good, bad = candidate(WAVING), candidate(STILL)
    votes = [
        vote("ana", [good, bad], [good]),
        vote("ben", [good, bad], [good, bad]),
        vote("cem", [good, bad], []),
        vote("expert", [good], [], round=2),
    ]
    quality = by_votes(votes, [good, bad])
    shares = [quality.score(measure(clip, frames)) for clip, frames in ((good, WAVING), (bad, STILL))]
    assert shares == pytest.approx([2 / 3, 1 / 3]) and shares[1] < quality.able < shares[0]
    assert not quality.simulated and quality.source != by_votes(votes[:2], [good, bad]).source
    assert by_votes([*votes, vote("simulated", [good], [])], [good, bad]).simulated
    assert len(approval(votes)) == 2


def test_votes_on_some_of_the_clips_are_refused() -> None:
    good, bad = candidate(WAVING), candidate(STILL)
    failed = replace(candidate(STILL, seed=1), clip=None, clip_digest=None, status="failed")
    by_votes([vote("ana", [good], [])], [good, failed])
    with pytest.raises(ValueError, match="1 of 2 clips of plan pilot were shown to nobody yet"):
        by_votes([vote("ana", [good], [])], [good, bad, failed])
