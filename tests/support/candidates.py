"""A complete candidate, for tests that need a few of its columns."""

from typing import Any

from stickers.artifacts.ids import clip_digest, content_id
from stickers.artifacts.records import MADE, Candidate


def make_candidate(strip: bytes, **values: Any) -> Candidate:
    """A made candidate with that clip; `values` are the columns that matter."""
    plain = {
        "candidate_id": content_id(strip),
        "sticker_id": "sticker",
        "teacher": "teacher",
        "checkpoint": "checkpoint",
        "seed": 0,
        "prompt": "a cat waving",
        "bucket": "action",
        "plan_id": "plan",
        "attempt": 0,
        "status": MADE,
        "error": "",
        "clip": strip,
        "clip_digest": clip_digest(strip),
        "num_frames": 8,
        "fps": 8,
        "seconds": 0.1,
    }
    return Candidate(**plain | values)
