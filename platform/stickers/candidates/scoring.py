"""What candidates look like, by programs alone: motion score and checks, read off the strips that teachers made.

It needs no model and no GPU, so it runs beside the teachers and they never wait for it. Nothing is dropped: a verdict
annotates and orders, people decide.
"""

from dataclasses import asdict, replace

from stickers.artifacts.records import FAILED, Candidate
from stickers.errors import UserError
from stickers.metrics.clip_checks import FLAGS, check
from stickers.video.codec import decode_strip


def score(row: Candidate) -> Candidate:
    """The row with what its clip looks like. A row without a clip, or one that was looked at, comes back as it is; one
    whose clip cannot be decoded has failed, which says that it is to be made again."""
    if row.clip is None or row.motion_score is not None:
        return row
    try:
        clip = decode_strip(row.clip, row.num_frames)
    except (UserError, OSError) as error:
        reason = f"its clip cannot be decoded: {error}".splitlines()[0]
        return replace(row, status=FAILED, error=reason, clip=None, clip_digest=None)
    found = check(clip, row.fps)
    return replace(row, **asdict(found.flags), **asdict(found.measures))


def flags_of(row: Candidate) -> tuple[str, ...]:
    """The names of the verdicts against a row."""
    return tuple(name for name in FLAGS if getattr(row, name))
