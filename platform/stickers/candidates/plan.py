"""The plan of a run's candidates: a table with one row per candidate, written before any model is loaded.

A plan's folder holds `prompts.parquet`, `stickers.parquet` and `plan/<teacher>.parquet`, one partition per
teacher; its `plan.json` is written last. The plan's id is the hash of its rows, so planning the same work twice gives
one plan.

A regeneration is also a plan. It makes some rows of a finished plan again and supersedes them: their ids lie in its
`superseded.parquet`, and the finished plan stays as it is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice

import pyarrow as pa

from stickers import storage
from stickers.artifacts.ids import candidate_id, content_id, seed_from
from stickers.artifacts.records import PLAN, PROMPTS, STICKERS, Candidate, PlanRow, Prompt, Sticker
from stickers.artifacts.schema import records_of, table_of, versioned
from stickers.errors import UserError

PLAN_FILE = "plan.json"
SUPERSEDED = versioned("Superseded", [pa.field("candidate_id", pa.string(), nullable=False)])


@dataclass(frozen=True)
class PlannedTeacher:
    """A teacher of a plan: the digest of its weights and all its sampler settings."""

    name: str
    checkpoint: str
    settings: Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Plan:
    """Stickers times teachers times seeds. `rows` are grouped by teacher, and within a teacher in the stickers' order.

    A regeneration names the plan it replaces rows of in `supersedes`, and the ids of those rows in `superseded`.
    """

    plan_id: str
    prompts: list[Prompt]
    stickers: list[Sticker]
    rows: list[PlanRow]
    supersedes: str = ""
    superseded: tuple[str, ...] = ()

    @property
    def teachers(self) -> list[str]:
        """The names of the teachers that have rows, sorted."""
        return sorted({row.teacher for row in self.rows})

    def of(self, teacher: str) -> list[PlanRow]:
        """The rows of one teacher, in order."""
        return [row for row in self.rows if row.teacher == teacher]


def make_plan(
    prompts: list[Prompt],
    stickers: list[Sticker],
    teachers: list[PlannedTeacher],
    seed: int = 0,
    *,
    num_seeds: int = 1,
) -> Plan:
    """Plan every sticker for every teacher, `num_seeds` times. Row seeds derive from `seed`, sticker and teacher.

    Raises:
        UserError: teachers, stickers or seeds are missing, or two teachers have the same name.
    """
    if num_seeds < 1:
        raise UserError(f"a plan draws every sticker at least once, got num_seeds {num_seeds}")
    names = [teacher.name for teacher in teachers]
    if not teachers or not stickers:
        raise UserError(f"a plan needs stickers and teachers, got {len(stickers)} and {len(teachers)}")
    if len(set(names)) < len(names):
        raise UserError(f"two teachers of one plan have the same name: {', '.join(sorted(names))}")
    prompt_by_id = {prompt.prompt_id: prompt for prompt in prompts}
    rows = [
        planned_row(
            sticker.sticker_id,
            prompt_by_id[sticker.prompt_id],
            teacher,
            _seed(seed, sticker, teacher, repetition),
        )
        for teacher in sorted(teachers, key=lambda teacher: teacher.name)
        for sticker in stickers
        for repetition in range(num_seeds)
    ]
    plan_id = content_id("plan", sorted(row.candidate_id for row in rows))[:12]
    return Plan(plan_id=plan_id, prompts=prompts, stickers=stickers, rows=rows)


def _seed(seed: int, sticker: Sticker, teacher: PlannedTeacher, repetition: int) -> int:
    # the first repetition has the same seed as in a plan with a single one
    return seed_from(seed, sticker.sticker_id, teacher.name, *([repetition] if repetition else []))


def planned_row(sticker_id: str, prompt: Prompt, teacher: PlannedTeacher, seed: int) -> PlanRow:
    """One candidate to make; its id hashes everything that decides its pixels."""
    identity = candidate_id(
        sticker=sticker_id,
        prompt=prompt.text,
        checkpoint=teacher.checkpoint,
        seed=seed,
        settings=teacher.settings,
    )
    return PlanRow(
        candidate_id=identity,
        sticker_id=sticker_id,
        teacher=teacher.name,
        checkpoint=teacher.checkpoint,
        seed=seed,
        prompt=prompt.text,
        bucket=prompt.bucket,
    )


def regeneration(
    plan_id: str,
    rows: Sequence[PlanRow | Candidate],
    prompts: Sequence[Prompt],
    stickers: Sequence[Sticker],
    teachers: Sequence[PlannedTeacher],
    *,
    reseed: int | None = None,
) -> Plan:
    """Plan some rows of the finished plan `plan_id` again, with the present weights of their teachers.

    Unchanged weights give the same ids and, on the same kind of machine, the same pixels; changed ones give new
    candidates in place of the old. With `reseed` every row starts from new noise.

    Raises:
        UserError: `rows` is empty, or `teachers` lacks the teacher of a row.
    """
    if not rows:
        raise UserError(f"no candidate of plan {plan_id} is asked for; there is nothing to make again")
    teacher_by_name = {teacher.name: teacher for teacher in teachers}
    prompt_by_text = {prompt.text: prompt for prompt in prompts}
    absent = sorted({row.teacher for row in rows} - teacher_by_name.keys())
    if absent:
        raise UserError(
            f"teacher {absent[0]} is missing; its candidates of plan {plan_id} cannot be made again"
        )
    new_rows = [
        planned_row(
            row.sticker_id,
            prompt_by_text[row.prompt],
            teacher_by_name[row.teacher],
            row.seed if reseed is None else seed_from(reseed, row.seed),
        )
        for row in rows
    ]
    used, texts = {row.sticker_id for row in rows}, {row.prompt for row in rows}
    names = sorted(row.candidate_id for row in new_rows)
    superseded = tuple(sorted(row.candidate_id for row in rows))
    return Plan(
        plan_id=content_id("regeneration", plan_id, names, superseded)[:12],
        prompts=[prompt for prompt in prompts if prompt.text in texts],
        stickers=[sticker for sticker in stickers if sticker.sticker_id in used],
        rows=sorted(new_rows, key=lambda row: row.teacher),
        supersedes=plan_id,
        superseded=superseded,
    )


def with_rows(
    source: Plan,
    teachers: Sequence[PlannedTeacher],
    counts: Mapping[tuple[str, str], int],
    existing: set[str],
    seed: int,
) -> Plan:
    """Plan new candidates of another plan's stickers, a given number per teacher and bucket; the stickers take turns.

    Args:
        counts: number of candidates by teacher name and bucket.
        existing: ids of existing candidates; their stickers are planned with the next seed instead.
        seed: of the noise and of the order of the stickers.

    Raises:
        UserError: all counts are 0.
    """
    buckets = sorted({prompt.bucket for prompt in source.prompts})
    rows: list[PlanRow] = []
    for teacher in sorted(teachers, key=lambda teacher: teacher.name):
        for bucket in buckets:
            new_rows = (
                row for row in _endless(source, teacher, bucket, seed) if row.candidate_id not in existing
            )
            rows += islice(new_rows, counts.get((teacher.name, bucket), 0))
    if not rows:
        raise UserError("the budget pays for no candidate; give more seconds")
    used = {row.sticker_id for row in rows}
    stickers = [sticker for sticker in source.stickers if sticker.sticker_id in used]
    prompts = {sticker.prompt_id for sticker in stickers}
    return Plan(
        plan_id=content_id("plan", sorted(row.candidate_id for row in rows))[:12],
        prompts=[prompt for prompt in source.prompts if prompt.prompt_id in prompts],
        stickers=stickers,
        rows=rows,
    )


def _endless(source: Plan, teacher: PlannedTeacher, bucket: str, seed: int) -> Iterator[PlanRow]:
    """Rows of a teacher for the stickers of a bucket in shuffled order, again and again with new seeds."""
    prompt_by_id = {prompt.prompt_id: prompt for prompt in source.prompts}
    stickers = [sticker for sticker in source.stickers if prompt_by_id[sticker.prompt_id].bucket == bucket]
    stickers.sort(key=lambda sticker: seed_from(seed, sticker.sticker_id, teacher.name))
    for repetition in count():
        for sticker in stickers:
            row_seed = _seed(seed, sticker, teacher, repetition)
            yield planned_row(sticker.sticker_id, prompt_by_id[sticker.prompt_id], teacher, row_seed)


def save_plan(runs: str, plan: Plan) -> str:
    """Write the plan unless it exists already; returns the URI of its folder."""
    uri = storage.join(runs, "plans", plan.plan_id)
    if storage.exists(storage.join(uri, PLAN_FILE)):
        return uri
    storage.write_table(storage.join(uri, "prompts.parquet"), table_of(plan.prompts, Prompt), PROMPTS)
    storage.write_table(storage.join(uri, "stickers.parquet"), table_of(plan.stickers, Sticker), STICKERS)
    for teacher in plan.teachers:
        rows = table_of(plan.of(teacher), PlanRow)
        storage.write_table(storage.join(uri, "plan", f"{teacher}.parquet"), rows, PLAN)
    if plan.supersedes:
        table = pa.table({"candidate_id": pa.array(plan.superseded, pa.string())}, schema=SUPERSEDED)
        storage.write_table(storage.join(uri, "superseded.parquet"), table, SUPERSEDED)
    counts = {"prompts": len(plan.prompts), "stickers": len(plan.stickers), "candidates": len(plan.rows)}
    header = {"plan_id": plan.plan_id, "teachers": plan.teachers, "supersedes": plan.supersedes, **counts}
    storage.write_json(storage.join(uri, PLAN_FILE), header)
    return uri


def as_saved(uri: str, plan: Plan) -> Plan:
    """The plan in the order in which its folder stores it. The pictures, its bulk, are taken from `plan`, not read."""
    table = storage.read_table(storage.join(uri, "stickers.parquet"), STICKERS, columns=["sticker_id"])
    sticker_by_id = {sticker.sticker_id: sticker for sticker in plan.stickers}
    return replace(
        plan,
        prompts=_prompts(uri),
        stickers=[sticker_by_id[name] for name in table["sticker_id"].to_pylist()],
        rows=_rows(uri, plan.teachers),
    )


def _prompts(uri: str) -> list[Prompt]:
    return records_of(storage.read_table(storage.join(uri, "prompts.parquet"), PROMPTS), Prompt)


def _rows(uri: str, teachers: Iterable[str]) -> list[PlanRow]:
    tables = [storage.read_table(storage.join(uri, "plan", f"{name}.parquet"), PLAN) for name in teachers]
    return [row for table in tables for row in records_of(table, PlanRow)]


def load_plan(uri: str) -> Plan:
    """Read a plan folder. UserError when `uri` is not one."""
    header = storage.read_json(storage.join(uri, PLAN_FILE))
    stickers = storage.read_table(storage.join(uri, "stickers.parquet"), STICKERS)
    superseded: list[str] = []
    if header["supersedes"]:
        table = storage.read_table(storage.join(uri, "superseded.parquet"), SUPERSEDED)
        superseded = table["candidate_id"].to_pylist()
    return Plan(
        plan_id=header["plan_id"],
        prompts=_prompts(uri),
        stickers=records_of(stickers, Sticker),
        rows=_rows(uri, header["teachers"]),
        supersedes=header["supersedes"],
        superseded=tuple(superseded),
    )
