"""The work plan is data: one row a candidate, written before any model wakes.

A plan's folder holds `prompts.parquet`, `stickers.parquet` and `plan/<teacher>.parquet`, one partition a teacher; its
`plan.json` is written last. The plan's id is the content of its rows, so planning the same work twice is one plan.

A regeneration is a plan too: of some rows of a finished plan, which it supersedes. It holds their ids in
`superseded.parquet` and leaves the finished plan as it is.
"""

from collections.abc import Iterable, Mapping, Sequence
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
    """A teacher as the plan knows it: the digest of its weights and every sampler setting."""

    name: str
    checkpoint: str
    settings: Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Plan:
    """Stickers times teachers times seeds. `rows` come teacher by teacher, each one's in the order of the stickers.

    `supersedes` is the plan that this one replaces rows of, `superseded` those rows' ids.
    """

    plan_id: str
    prompts: list[Prompt]
    stickers: list[Sticker]
    rows: list[PlanRow]
    supersedes: str = ""
    superseded: tuple[str, ...] = ()

    @property
    def teachers(self) -> list[str]:
        return sorted({row.teacher for row in self.rows})

    def of(self, teacher: str) -> list[PlanRow]:
        return [row for row in self.rows if row.teacher == teacher]


def make_plan(
    prompts: list[Prompt],
    stickers: list[Sticker],
    teachers: list[PlannedTeacher],
    seed: int = 0,
    *,
    num_seeds: int = 1,
) -> Plan:
    """Every sticker by every teacher, `num_seeds` times, each with a seed of its own that follows from their names.

    Raises:
        UserError: there is no teacher, no sticker or no seed, or two teachers have one name.
    """
    if num_seeds < 1:
        raise UserError(f"a plan draws every sticker at least once, got num_seeds {num_seeds}")
    names = [teacher.name for teacher in teachers]
    if not teachers or not stickers:
        raise UserError(f"a plan needs stickers and teachers, got {len(stickers)} and {len(teachers)}")
    if len(set(names)) < len(names):
        raise UserError(f"two teachers of one plan have the same name: {', '.join(sorted(names))}")
    said = {prompt.prompt_id: prompt for prompt in prompts}
    rows = [
        planned_row(sticker.sticker_id, said[sticker.prompt_id], each, _seed(seed, sticker, each, again))
        for each in sorted(teachers, key=lambda teacher: teacher.name)
        for sticker in stickers
        for again in range(num_seeds)
    ]
    plan_id = content_id("plan", sorted(row.candidate_id for row in rows))[:12]
    return Plan(plan_id=plan_id, prompts=prompts, stickers=stickers, rows=rows)


def _seed(seed: int, sticker: Sticker, teacher: PlannedTeacher, again: int) -> int:
    # the first keeps the seed that it has in a plan of one
    return seed_from(seed, sticker.sticker_id, teacher.name, *([again] if again else []))


def planned_row(sticker_id: str, prompt: Prompt, teacher: PlannedTeacher, seed: int) -> PlanRow:
    """One candidate to make; its id follows from everything that decides its pixels."""
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
    """A plan that makes some rows of the finished plan `plan_id` again, by their teachers as they are now.

    The same weights make the same ids and, on the same kind of machine, the same pixels; others make other
    candidates in their place. `reseed` gives every row another noise.

    Raises:
        UserError: no row is asked for, or one's teacher is not given.
    """
    if not rows:
        raise UserError(f"no candidate of plan {plan_id} is asked for; there is nothing to make again")
    now, said = {each.name: each for each in teachers}, {each.text: each for each in prompts}
    absent = sorted({row.teacher for row in rows} - now.keys())
    if absent:
        raise UserError(f"teacher {absent[0]} is not there to make its candidates of plan {plan_id} again")
    again = [
        planned_row(
            row.sticker_id,
            said[row.prompt],
            now[row.teacher],
            row.seed if reseed is None else seed_from(reseed, row.seed),
        )
        for row in rows
    ]
    used, texts = {row.sticker_id for row in rows}, {row.prompt for row in rows}
    names = sorted(row.candidate_id for row in again)
    superseded = tuple(sorted(row.candidate_id for row in rows))
    return Plan(
        plan_id=content_id("regeneration", plan_id, names, superseded)[:12],
        prompts=[each for each in prompts if each.text in texts],
        stickers=[each for each in stickers if each.sticker_id in used],
        rows=sorted(again, key=lambda row: row.teacher),
        supersedes=plan_id,
        superseded=superseded,
    )


def with_rows(
    source: Plan,
    teachers: Sequence[PlannedTeacher],
    counts: Mapping[tuple[str, str], int],
    known: set[str],
    seed: int,
) -> Plan:
    """A plan of new candidates of another plan's stickers: of each teacher and bucket so many, the stickers in turn.

    Args:
        counts: candidates by teacher's name and bucket.
        known: ids that exist; none of them is planned again, the next noise of its sticker is.
        seed: of the noise, and of which stickers come first.

    Raises:
        UserError: no candidate is asked for.
    """
    said = {prompt.prompt_id: prompt for prompt in source.prompts}
    rows: list[PlanRow] = []
    for each in sorted(teachers, key=lambda teacher: teacher.name):
        for bucket in sorted({prompt.bucket for prompt in source.prompts}):
            mine = [one for one in source.stickers if said[one.prompt_id].bucket == bucket]
            mine.sort(key=lambda one: seed_from(seed, one.sticker_id, each.name))
            fresh = (
                row
                for again in count()
                for one in mine
                if (
                    row := planned_row(
                        one.sticker_id, said[one.prompt_id], each, _seed(seed, one, each, again)
                    )
                ).candidate_id
                not in known
            )
            rows += islice(fresh, counts.get((each.name, bucket), 0))
    if not rows:
        raise UserError("the budget pays for no candidate; give more seconds")
    used = {row.sticker_id for row in rows}
    stickers = [one for one in source.stickers if one.sticker_id in used]
    prompts = {one.prompt_id for one in stickers}
    return Plan(
        plan_id=content_id("plan", sorted(row.candidate_id for row in rows))[:12],
        prompts=[each for each in source.prompts if each.prompt_id in prompts],
        stickers=stickers,
        rows=rows,
    )


def save_plan(runs: str, plan: Plan) -> str:
    """Write the plan, unless it is there; returns its folder's URI."""
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
    """The same plan as its folder has it, where it may have been asked for before in another order; the pictures, its
    bulk, are not read again."""
    table = storage.read_table(storage.join(uri, "stickers.parquet"), STICKERS, columns=["sticker_id"])
    mine = {each.sticker_id: each for each in plan.stickers}
    return replace(
        plan,
        prompts=_prompts(uri),
        stickers=[mine[name] for name in table["sticker_id"].to_pylist()],
        rows=_rows(uri, plan.teachers),
    )


def _prompts(uri: str) -> list[Prompt]:
    return records_of(storage.read_table(storage.join(uri, "prompts.parquet"), PROMPTS), Prompt)


def _rows(uri: str, teachers: Iterable[str]) -> list[PlanRow]:
    tables = [storage.read_table(storage.join(uri, "plan", f"{name}.parquet"), PLAN) for name in teachers]
    return [row for table in tables for row in records_of(table, PlanRow)]


def load_plan(uri: str) -> Plan:
    """Read a plan folder back. UserError when it is none."""
    header = storage.read_json(storage.join(uri, PLAN_FILE))
    stickers = storage.read_table(storage.join(uri, "stickers.parquet"), STICKERS)
    place = storage.join(uri, "superseded.parquet")
    gone = storage.read_table(place, SUPERSEDED)["candidate_id"].to_pylist() if header["supersedes"] else []
    return Plan(
        plan_id=header["plan_id"],
        prompts=_prompts(uri),
        stickers=records_of(stickers, Sticker),
        rows=_rows(uri, header["teachers"]),
        supersedes=header["supersedes"],
        superseded=tuple(gone),
    )
