"""What crosses a stage: frozen records, their Arrow schemas and their identities.

Each table is described once, by a dataclass; its Arrow schema follows from the fields, with units in the field
metadata. Identities are content hashes, equal on every machine, so a rerun finds what an earlier run has made.
"""

# ruff: noqa: RUF009  (every column is a dataclass field; the checker cannot see through the helper)
from collections.abc import Iterable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from datetime import datetime
from hashlib import blake2b
from json import dumps
from typing import Any

import pyarrow as pa

ID_LENGTH = 26
MADE, FAILED = "made", "failed"
TIME = pa.timestamp("us", tz="UTC")


def _column(kind: pa.DataType, unit: str = "", *, nullable: bool = False, **default: Any) -> Any:
    """`default` or `default_factory`, as `dataclasses.field` takes them."""
    return field(**default, metadata={"arrow": kind, "unit": unit, "nullable": nullable})


def _later(kind: pa.DataType, unit: str) -> Any:
    """A column that is empty until something has measured it."""
    return _column(kind, unit, nullable=True, default=None)


def schema_of(record: type) -> pa.Schema:
    """The Arrow schema of a record class; a field's unit stands under `unit` in its metadata."""
    return pa.schema([_arrow_field(each) for each in fields(record)])


def _arrow_field(each: Field) -> pa.Field:
    unit = each.metadata["unit"]
    metadata = {"unit": unit} if unit else None
    return pa.field(each.name, each.metadata["arrow"], nullable=each.metadata["nullable"], metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A video that a collection names, and what became of it.

    `fps` is the average rate where it varies. `content` is the hash of the file, `source` the collection it belongs to.
    `status` is ready, duplicate (the same file again in one collection) or refused; of the last two `reason` is one
    sentence, a refused one's facts are zero. `cut_out` says that a solid background was made transparent.
    """

    clip_id: str = _column(pa.string())
    uri: str = _column(pa.string())
    caption: str = _column(pa.string())
    source: str = _column(pa.string())
    content: str = _column(pa.string(), "hash of the file")
    num_frames: int = _column(pa.int32(), "frames")
    fps: float = _column(pa.float64(), "frames per second")
    variable_fps: bool = _column(pa.bool_())
    width: int = _column(pa.int32(), "pixels")
    height: int = _column(pa.int32(), "pixels")
    has_alpha: bool = _column(pa.bool_())
    cut_out: bool = _column(pa.bool_())
    motion_score: float = _column(pa.float64(), "mean absolute luma difference of neighbouring frames, 0-255")
    vector_score: float | None = _column(
        pa.float64(), "mean norm of H.264 motion vectors a frame, pixels", nullable=True
    )
    status: str = _column(pa.string(), "ready | duplicate | refused")
    reason: str = _column(pa.string())


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A file or row that cannot be used; `reason` is one sentence."""

    uri: str = _column(pa.string())
    source: str = _column(pa.string())
    reason: str = _column(pa.string())


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """`bucket` is action, emotion or open-ended; `source` says who wrote the prompt."""

    prompt_id: str = _column(pa.string())
    text: str = _column(pa.string())
    bucket: str = _column(pa.string())
    source: str = _column(pa.string())


@dataclass(frozen=True, kw_only=True)
class Sticker:
    """One picture for a prompt; `png` is RGBA, square."""

    sticker_id: str = _column(pa.string())
    prompt_id: str = _column(pa.string())
    image_index: int = _column(pa.int32())
    png: bytes = _column(pa.binary(), "PNG file")


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """One candidate to make. `checkpoint` is the digest of the teacher's weights and settings."""

    candidate_id: str = _column(pa.string())
    sticker_id: str = _column(pa.string())
    teacher: str = _column(pa.string())
    checkpoint: str = _column(pa.string(), "digest")
    seed: int = _column(pa.int64())
    prompt: str = _column(pa.string())
    bucket: str = _column(pa.string())


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A plan row and what became of it. `status` is made or failed; a failed row has an error and no clip.

    From the motion score on, what a look at the clip says (`stickers.metrics.checks`): four verdicts and what they
    were read from. They annotate and order, and drop nothing.
    """

    candidate_id: str = _column(pa.string())
    sticker_id: str = _column(pa.string())
    teacher: str = _column(pa.string())
    checkpoint: str = _column(pa.string(), "digest")
    seed: int = _column(pa.int64())
    prompt: str = _column(pa.string())
    bucket: str = _column(pa.string())
    plan_id: str = _column(pa.string())
    attempt: int = _column(pa.int32())
    status: str = _column(pa.string(), "made | failed")
    error: str = _column(pa.string())
    clip: bytes | None = _column(pa.binary(), "static WebP, frames stacked from top to bottom", nullable=True)
    clip_digest: str | None = _column(pa.string(), nullable=True)
    num_frames: int = _column(pa.int32(), "frames")
    fps: int = _column(pa.int32(), "frames per second")
    seconds: float = _column(pa.float64(), "seconds of generation, a batch's time shared among its rows")
    device: str = _column(pa.string(), "what made it: a GPU's name, or cpu", default="cpu")
    motion_score: float | None = _later(
        pa.float64(), "mean absolute luma difference of neighbouring frames, 0-255"
    )
    frozen: bool = _column(pa.bool_(), "nothing moves", default=False)
    flickering: bool = _column(pa.bool_(), "changes are taken back at once", default=False)
    clipped: bool = _column(
        pa.bool_(), "the subject is cut by the edge, or its colours burn out", default=False
    )
    empty: bool = _column(pa.bool_(), "a frame shows nothing", default=False)
    moving: float | None = _later(pa.float64(), "share of the subject that changes, 0-1")
    reversal: float | None = _later(pa.float64(), "share of the change that the next frame takes back, 0-1")
    pulse: float | None = _later(pa.float64(), "levels by which the subject's mean colour jumps and returns")
    border: float | None = _later(
        pa.float64(), "share of the worst frame's edge that the subject covers, 0-1"
    )
    saturated: float | None = _later(pa.float64(), "growth of the share of saturated pixels, 0-1")
    visible: float | None = _later(pa.float64(), "least share of a frame that shows anything, 0-1")


@dataclass(frozen=True, kw_only=True)
class Vote:
    """One person's answer to one job: of the clips shown, those worth sharing. The clips are named by digest too,
    because that is what was judged.

    `kind` is choose, gold (a job whose right answer is known; it measures the person and keeps nothing) or ruling (a
    lead decides what others disagree about). A person who goes back answers again under the next `revision`; the last
    one counts. `flagged` are candidates that something is wrong with, unsafe or broken as `flags` says, in that order.
    """

    job_id: str = _column(pa.string())
    annotator: str = _column(pa.string())
    round: int = _column(pa.int32())
    plan_id: str = _column(pa.string())
    shown: list[str] = _column(
        pa.list_(pa.string()), "candidate ids, in the order in which the person saw them"
    )
    shown_digests: list[str] = _column(pa.list_(pa.string()), "clip digests, in the order of `shown`")
    picks: list[str] = _column(pa.list_(pa.string()), "candidate ids")
    started_at: datetime = _column(TIME)
    submitted_at: datetime = _column(TIME)
    simulated: bool = _column(pa.bool_())
    kind: str = _column(pa.string(), "choose | gold | ruling", default="choose")
    revision: int = _column(pa.int32(), "0 for the first answer", default=0)
    flagged: list[str] = _column(pa.list_(pa.string()), "candidate ids", default_factory=list)
    flags: list[str] = _column(pa.list_(pa.string()), "unsafe | broken", default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A clip that people kept, with everything it descends from."""

    candidate_id: str = _column(pa.string())
    clip_digest: str = _column(pa.string())
    plan_id: str = _column(pa.string())
    sticker_id: str = _column(pa.string())
    teacher: str = _column(pa.string())
    checkpoint: str = _column(pa.string(), "digest")
    seed: int = _column(pa.int64())
    prompt: str = _column(pa.string())
    bucket: str = _column(pa.string())
    clip: bytes = _column(pa.binary(), "static WebP, frames stacked from top to bottom")
    num_frames: int = _column(pa.int32(), "frames")
    fps: int = _column(pa.int32(), "frames per second")
    motion_score: float = _column(pa.float64(), "mean absolute luma difference of neighbouring frames, 0-255")
    jobs: list[str] = _column(pa.list_(pa.string()), "job ids")
    accepted_by: list[str] = _column(pa.list_(pa.string()), "annotators of the first round")
    experts: list[str] = _column(pa.list_(pa.string()), "experts of the second round")
    simulated: bool = _column(pa.bool_())


@dataclass(frozen=True, kw_only=True)
class Preference:
    """A kept clip over a rejected one of the same sticker. `simulated` says that simulated people judged one."""

    plan_id: str = _column(pa.string(), "of the chosen one")
    sticker_id: str = _column(pa.string())
    prompt: str = _column(pa.string())
    bucket: str = _column(pa.string())
    chosen: str = _column(pa.string(), "candidate id")
    chosen_digest: str = _column(pa.string(), "clip digest")
    rejected: str = _column(pa.string(), "candidate id")
    rejected_digest: str = _column(pa.string(), "clip digest")
    chosen_for: int = _column(pa.int32(), "people who picked it, of all rounds, a lead who decided included")
    chosen_against: int = _column(pa.int32(), "people who did not")
    rejected_for: int = _column(
        pa.int32(), "people who picked it, of all rounds, a lead who decided included"
    )
    rejected_against: int = _column(pa.int32(), "people who did not")
    simulated: bool = _column(pa.bool_())


CLIPS = schema_of(Clip)
PROMPTS = schema_of(Prompt)
REFUSED = schema_of(Refused)
STICKERS = schema_of(Sticker)
PLAN = schema_of(PlanRow)
CANDIDATES = schema_of(Candidate)
VOTES = schema_of(Vote)
KEPT = schema_of(Kept)
PREFERENCES = schema_of(Preference)


def table_of(records: Iterable[Any], record: type) -> pa.Table:
    """An Arrow table of records of one class; an empty one still has its columns."""
    rows = [asdict(each) for each in records]
    return pa.Table.from_pylist(rows, schema=schema_of(record))


def content_id(*parts: object) -> str:
    """26 lower-case letters and digits that change with any part; parts are JSON values or bytes."""
    digest = blake2b(digest_size=16)
    for part in parts:
        raw = part if isinstance(part, bytes) else dumps(part, sort_keys=True, ensure_ascii=False).encode()
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return _base32(digest.digest())


def prompt_id(text: str) -> str:
    """Identity of a prompt: its text."""
    return content_id("prompt", text)


def sticker_id(prompt: str, image_index: int, png: bytes) -> str:
    """Identity of a static sticker: its prompt's id, its index and its picture."""
    return content_id("sticker", prompt, image_index, png)


def candidate_id(
    *, sticker: str, prompt: str, checkpoint: str, seed: int, settings: Mapping[str, str | int | float | bool]
) -> str:
    """Identity of a candidate.

    Args:
        sticker: its sticker id.
        prompt: the prompt's text.
        checkpoint: the digest of the teacher's weights.
        seed: of the noise.
        settings: every sampler setting, as `dataclasses.asdict(SamplerSettings)` gives it.
    """
    return content_id("candidate", sticker, prompt, checkpoint, seed, dict(settings))


def clip_digest(strip: bytes) -> str:
    """Identity of the encoded clip that people judge."""
    return content_id("clip", strip)


def seed_from(*parts: object) -> int:
    """A seed in [0, 2**53) that depends on the parts alone; JSON and JavaScript keep it exact."""
    raw = content_id("seed", *parts).encode()
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "big") >> 11


def _base32(digest: bytes) -> str:
    number, letters = int.from_bytes(digest, "big"), "0123456789abcdefghjkmnpqrstvwxyz"
    return "".join(letters[(number >> (5 * place)) & 31] for place in reversed(range(ID_LENGTH)))
