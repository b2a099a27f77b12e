"""The critic measures a sticker's candidates, one row each, with the truth where the project has one."""

import numpy as np

from actors.critic import Critic
from recipes.toy.projects import FOUNDATIONS, TINY
from stickers.artifacts.records import Candidate
from stickers.data.encoding import canonical
from stickers.models.folders import load_autoencoder
from stickers.toy.grammar import toy_prompts
from stickers.toy.measure import ToyOracle
from stickers.toy.oracle import draw_sticker, truths
from stickers.video.codec import encode_strip
from tests.support.candidates import make_candidate

SIZE, FRAMES = 32, 8


def look_at() -> list[Candidate]:
    """What the prompt asks for, and a still, as the autoencoder leaves them: the truth passes through it too."""
    prompt = toy_prompts(1, seed=0)[0].text
    right = truths(prompt, 0, size=SIZE, num_frames=FRAMES, still_at=3)[0]
    still = np.repeat(draw_sticker(prompt, 0, SIZE)[None], FRAMES, axis=0)
    oracle = ToyOracle(load_autoencoder(FOUNDATIONS / "tiny"), SIZE, FRAMES)
    clips = oracle.reconstruct(np.stack([canonical(clip, SIZE) for clip in (right, still)]))
    return [make_candidate(encode_strip(clip), prompt=prompt, num_frames=FRAMES) for clip in clips]


def test_it_measures_with_and_without_a_truth() -> None:
    candidates, encoders = look_at(), str(FOUNDATIONS / "tiny")
    right, still = Critic(TINY.evaluation.truth, encoders).look(0, candidates)
    assert right["truth_error"] < 0.5 and abs(still["truth_error"] - 1) < 0.05
    assert still["motion_size"] == 0 < right["motion_size"] and still["consistency"] >= right["consistency"]
    rows = Critic(None, encoders).look(0, candidates)
    assert [row["truth_error"] for row in rows] == [None, None]
    assert [row["candidate_id"] for row in rows] == [row.candidate_id for row in candidates]
    assert {row["sticker_id"] for row in rows} == {"sticker"}
    assert [row["motion_size"] for row in rows] == [right["motion_size"], 0]
