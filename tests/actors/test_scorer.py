"""The scorer gives as many rows as it takes, in their order, each looked at."""

import numpy as np

from actors.scorer import Scorer
from stickers.artifacts.records import FAILED, Candidate
from stickers.artifacts.schema import records_of, table_of
from stickers.candidates.scoring import score
from stickers.video.codec import encode_strip
from tests.support.candidates import make_candidate


def test_rows_come_back_looked_at() -> None:
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (8, 16, 16, 4), dtype=np.uint8), np.full((8, 16, 16, 4), 200, np.uint8)]
    rows = [make_candidate(encode_strip(clip), bucket="action") for clip in clips]
    rows.append(make_candidate(b"no strip"))
    looked_at = records_of(Scorer()(table_of(rows, Candidate)), Candidate)
    assert [row.candidate_id for row in looked_at] == [row.candidate_id for row in rows]
    moves, stands, broken = looked_at
    assert moves.motion_score is not None and stands.motion_score is not None
    assert moves.motion_score > stands.motion_score == 0
    assert broken.status == FAILED and "cannot be decoded" in broken.error and broken.clip is None
    assert score(moves) == moves
