"""Candidates with clips of a few bytes, for tests of what people do with them."""

from stickers.artifacts import Candidate, clip_digest, content_id


def candidate(prompt: str, picture: int, teacher: str, seed: int = 0, motion: float = 1.0) -> Candidate:
    strip = f"{prompt}{picture}{teacher}{seed}".encode()
    return Candidate(
        candidate_id=content_id(strip),
        sticker_id=f"{prompt}/{picture}",
        teacher=teacher,
        checkpoint="c",
        seed=seed,
        prompt=prompt,
        bucket="action",
        plan_id="plan",
        attempt=0,
        status="made",
        error="",
        clip=strip,
        clip_digest=clip_digest(strip),
        num_frames=8,
        fps=8,
        motion_score=motion,
        seconds=0.1,
    )


ROWS = [candidate(p, i, t) for p in ("a cat", "a dog", "a fox") for i in (0, 1) for t in "wxyz"]
BY_ID = {row.candidate_id: row for row in ROWS}
