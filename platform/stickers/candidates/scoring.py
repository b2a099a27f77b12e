"""The motion score and the automatic checks of candidates, computed from the strips that teachers made.

Scoring needs no model and no GPU, so it runs beside the teachers, which never wait for it. No candidate is dropped: a
verdict annotates and orders; people decide.
"""

from dataclasses import asdict, replace

from stickers.artifacts.records import FAILED, Candidate
from stickers.errors import UserError
from stickers.metrics.clip_checks import FLAGS, check
from stickers.video.codec import decode_strip


def score(row: Candidate) -> Candidate:
    """The row with the motion score and verdicts of its clip.

    A row without a clip or with a score is returned unchanged. If the clip cannot be decoded, the row's status becomes
    failed, so it is made again.
    """
    if row.clip is None or row.motion_score is not None:
        return row
    try:
        clip = decode_strip(row.clip, row.num_frames)
    except (UserError, OSError) as error:
        reason = f"its clip cannot be decoded: {error}".splitlines()[0]
        return replace(row, status=FAILED, error=reason, clip=None, clip_digest=None)
    checks = check(clip, row.fps)
    return replace(row, **asdict(checks.flags), **asdict(checks.measures))


def flags_of(row: Candidate) -> tuple[str, ...]:
    """The names of the verdicts against a row."""
    return tuple(name for name in FLAGS if getattr(row, name))
