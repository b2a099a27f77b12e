"""Candidates with clips of a few bytes, for tests of what people do with them."""

from stickers.artifacts.records import Candidate
from tests.support.candidates import make_candidate


def candidate(prompt: str, picture: int, teacher: str, seed: int = 0, motion: float = 1.0) -> Candidate:
    strip = f"{prompt}{picture}{teacher}{seed}".encode()
    values = {"teacher": teacher, "seed": seed, "prompt": prompt, "motion_score": motion}
    return make_candidate(strip, sticker_id=f"{prompt}/{picture}", **values)


ROWS = [candidate(p, i, t) for p in ("a cat", "a dog", "a fox") for i in (0, 1) for t in "wxyz"]
BY_ID = {row.candidate_id: row for row in ROWS}
