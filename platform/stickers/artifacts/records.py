"""Frozen records that stages exchange, with their Arrow schemas. One dataclass describes each table."""

# ruff: noqa: RUF009  (every column is a dataclass field; the checker cannot see through the helper)
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from stickers.artifacts.schema import TIME, column, measured_later, schema_of

MADE, FAILED = "made", "failed"


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A video of a collection, and the result of examining it.

    `fps` is the average rate where it varies. `content` is the hash of the file, `source` the collection it belongs to.
    `status` is ready, duplicate (the same file again in one collection) or refused; of the last two `reason` is one
    sentence, a refused one's facts are zero. `cut_out` says that a solid background was made transparent.
    """

    clip_id: str = column(pa.string())
    uri: str = column(pa.string())
    caption: str = column(pa.string())
    source: str = column(pa.string())
    content: str = column(pa.string(), "hash of the file")
    num_frames: int = column(pa.int32(), "frames")
    fps: float = column(pa.float64(), "frames per second")
    variable_fps: bool = column(pa.bool_())
    width: int = column(pa.int32(), "pixels")
    height: int = column(pa.int32(), "pixels")
    has_alpha: bool = column(pa.bool_())
    cut_out: bool = column(pa.bool_())
    motion_score: float = column(pa.float64(), "mean absolute luma difference of neighbouring frames, 0-255")
    vector_score: float | None = column(
        pa.float64(), "mean norm of H.264 motion vectors a frame, pixels", nullable=True
    )
    status: str = column(pa.string(), "ready | duplicate | refused")
    reason: str = column(pa.string())


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A file or row that cannot be used; `reason` is one sentence."""

    uri: str = column(pa.string())
    source: str = column(pa.string())
    reason: str = column(pa.string())


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """`bucket` is action, emotion or open-ended; `source` says who wrote the prompt."""

    prompt_id: str = column(pa.string())
    text: str = column(pa.string())
    bucket: str = column(pa.string())
    source: str = column(pa.string())


@dataclass(frozen=True, kw_only=True)
class Sticker:
    """One picture for a prompt; `png` is RGBA, square."""

    sticker_id: str = column(pa.string())
    prompt_id: str = column(pa.string())
    image_index: int = column(pa.int32())
    png: bytes = column(pa.binary(), "PNG file")


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """One candidate to make. `checkpoint` is the digest of the teacher's weights and settings."""

    candidate_id: str = column(pa.string())
    sticker_id: str = column(pa.string())
    teacher: str = column(pa.string())
    checkpoint: str = column(pa.string(), "digest")
    seed: int = column(pa.int64())
    prompt: str = column(pa.string())
    bucket: str = column(pa.string())


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A plan row and its result. `status` is made or failed; a failed row has an error and no clip.

    From the motion score on, what a look at the clip says (`stickers.metrics.clip_checks`): four verdicts and what they
    were read from. They annotate and order, and drop nothing.
    """

    candidate_id: str = column(pa.string())
    sticker_id: str = column(pa.string())
    teacher: str = column(pa.string())
    checkpoint: str = column(pa.string(), "digest")
    seed: int = column(pa.int64())
    prompt: str = column(pa.string())
    bucket: str = column(pa.string())
    plan_id: str = column(pa.string())
    attempt: int = column(pa.int32())
    status: str = column(pa.string(), "made | failed")
    error: str = column(pa.string())
    clip: bytes | None = column(pa.binary(), "static WebP, frames stacked from top to bottom", nullable=True)
    clip_digest: str | None = column(pa.string(), nullable=True)
    num_frames: int = column(pa.int32(), "frames")
    fps: int = column(pa.int32(), "frames per second")
    seconds: float = column(pa.float64(), "seconds of generation, a batch's time shared among its rows")
    device: str = column(pa.string(), "what made it: a GPU's name, or cpu", default="cpu")
    motion_score: float | None = measured_later(
        pa.float64(), "mean absolute luma difference of neighbouring frames, 0-255"
    )
    frozen: bool = column(pa.bool_(), "nothing moves", default=False)
    flickering: bool = column(pa.bool_(), "changes are taken back at once", default=False)
    clipped: bool = column(
        pa.bool_(), "the subject is cut by the edge, or its colours burn out", default=False
    )
    empty: bool = column(pa.bool_(), "a frame shows nothing", default=False)
    moving: float | None = measured_later(pa.float64(), "share of the subject that changes, 0-1")
    reversal: float | None = measured_later(
        pa.float64(), "share of the change that the next frame takes back, 0-1"
    )
    pulse: float | None = measured_later(
        pa.float64(), "levels by which the subject's mean colour jumps and returns"
    )
    border: float | None = measured_later(
        pa.float64(), "share of the worst frame's edge that the subject covers, 0-1"
    )
    saturated: float | None = measured_later(pa.float64(), "growth of the share of saturated pixels, 0-1")
    visible: float | None = measured_later(pa.float64(), "least share of a frame that shows anything, 0-1")


@dataclass(frozen=True, kw_only=True)
class Vote:
    """One person's answer to one job: of the clips shown, those worth sharing. The clips are named by digest too,
    because that is what was judged.

    `kind` is choose, gold (a job whose right answer is known; it measures the person and keeps nothing) or ruling (a
    lead decides what others disagree about). A person who goes back answers again under the next `revision`; the last
    one counts. `flagged` are candidates that something is wrong with, unsafe or broken as `flags` says, in that order.
    """

    job_id: str = column(pa.string())
    annotator: str = column(pa.string())
    round: int = column(pa.int32())
    plan_id: str = column(pa.string())
    shown: list[str] = column(
        pa.list_(pa.string()), "candidate ids, in the order in which the person saw them"
    )
    shown_digests: list[str] = column(pa.list_(pa.string()), "clip digests, in the order of `shown`")
    picks: list[str] = column(pa.list_(pa.string()), "candidate ids")
    started_at: datetime = column(TIME)
    submitted_at: datetime = column(TIME)
    simulated: bool = column(pa.bool_())
    kind: str = column(pa.string(), "choose | gold | ruling", default="choose")
    revision: int = column(pa.int32(), "0 for the first answer", default=0)
    flagged: list[str] = column(pa.list_(pa.string()), "candidate ids", default_factory=list)
    flags: list[str] = column(pa.list_(pa.string()), "unsafe | broken", default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A clip that people kept, with everything it descends from."""

    candidate_id: str = column(pa.string())
    clip_digest: str = column(pa.string())
    plan_id: str = column(pa.string())
    sticker_id: str = column(pa.string())
    teacher: str = column(pa.string())
    checkpoint: str = column(pa.string(), "digest")
    seed: int = column(pa.int64())
    prompt: str = column(pa.string())
    bucket: str = column(pa.string())
    clip: bytes = column(pa.binary(), "static WebP, frames stacked from top to bottom")
    num_frames: int = column(pa.int32(), "frames")
    fps: int = column(pa.int32(), "frames per second")
    motion_score: float = column(pa.float64(), "mean absolute luma difference of neighbouring frames, 0-255")
    jobs: list[str] = column(pa.list_(pa.string()), "job ids")
    accepted_by: list[str] = column(pa.list_(pa.string()), "annotators of the first round")
    experts: list[str] = column(pa.list_(pa.string()), "experts of the second round")
    simulated: bool = column(pa.bool_())


@dataclass(frozen=True, kw_only=True)
class Preference:
    """A kept clip over a rejected one of the same sticker. `simulated` says that simulated people judged one."""

    plan_id: str = column(pa.string(), "of the chosen one")
    sticker_id: str = column(pa.string())
    prompt: str = column(pa.string())
    bucket: str = column(pa.string())
    chosen: str = column(pa.string(), "candidate id")
    chosen_digest: str = column(pa.string(), "clip digest")
    rejected: str = column(pa.string(), "candidate id")
    rejected_digest: str = column(pa.string(), "clip digest")
    chosen_for: int = column(pa.int32(), "people who picked it, of all rounds, a lead who decided included")
    chosen_against: int = column(pa.int32(), "people who did not")
    rejected_for: int = column(pa.int32(), "people who picked it, of all rounds, a lead who decided included")
    rejected_against: int = column(pa.int32(), "people who did not")
    simulated: bool = column(pa.bool_())


CLIPS = schema_of(Clip)


PROMPTS = schema_of(Prompt)


REFUSED = schema_of(Refused)


STICKERS = schema_of(Sticker)


PLAN = schema_of(PlanRow)


CANDIDATES = schema_of(Candidate)


VOTES = schema_of(Vote)


KEPT = schema_of(Kept)


PREFERENCES = schema_of(Preference)
