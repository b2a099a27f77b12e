"""The work plan is data: one row a candidate, written before any model wakes.

A plan's folder holds `prompts.parquet`, `stickers.parquet` and `plan/<teacher>.parquet`, one partition a teacher; its
`plan.json` is written last. The plan's id is the content of its rows, so planning the same work twice is one plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from stickers import store
from stickers.artifacts import (
    PLAN,
    PROMPTS,
    STICKERS,
    PlanRow,
    Prompt,
    Sticker,
    candidate_id,
    content_id,
    seed_from,
    table_of,
)

PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class PlannedTeacher:
    """A teacher as the plan knows it: the digest of its weights and every sampler setting."""

    name: str
    checkpoint: str
    settings: Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Plan:
    """Stickers times teachers times seeds. `rows` is sorted by candidate id."""

    plan_id: str
    prompts: list[Prompt]
    stickers: list[Sticker]
    rows: list[PlanRow]

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
        ValueError: there is no teacher, no sticker or no seed, or two teachers have one name.
    """
    if num_seeds < 1:
        raise ValueError(f"a plan draws every sticker at least once, got num_seeds {num_seeds}")
    names = [teacher.name for teacher in teachers]
    if not teachers or not stickers:
        raise ValueError(f"a plan needs stickers and teachers, got {len(stickers)} and {len(teachers)}")
    if len(set(names)) < len(names):
        raise ValueError(f"two teachers of one plan have the same name: {', '.join(sorted(names))}")
    said = {prompt.prompt_id: prompt for prompt in prompts}
    rows = [
        _row(sticker, said[sticker.prompt_id], each, seed, again)
        for sticker in stickers
        for each in teachers
        for again in range(num_seeds)
    ]
    rows.sort(key=lambda row: row.candidate_id)
    plan_id = content_id("plan", [row.candidate_id for row in rows])[:12]
    return Plan(plan_id=plan_id, prompts=prompts, stickers=stickers, rows=rows)


def _row(sticker: Sticker, prompt: Prompt, teacher: PlannedTeacher, seed: int, again: int) -> PlanRow:
    # the first keeps the seed that it has in a plan of one
    noise = seed_from(seed, sticker.sticker_id, teacher.name, *([again] if again else []))
    identity = candidate_id(
        sticker=sticker.sticker_id,
        prompt=prompt.text,
        checkpoint=teacher.checkpoint,
        seed=noise,
        settings=teacher.settings,
    )
    return PlanRow(
        candidate_id=identity,
        sticker_id=sticker.sticker_id,
        teacher=teacher.name,
        checkpoint=teacher.checkpoint,
        seed=noise,
        prompt=prompt.text,
        bucket=prompt.bucket,
    )


def save_plan(runs: str, plan: Plan) -> str:
    """Write the plan, unless it is there; returns its folder's URI."""
    uri = store.join(runs, "plans", plan.plan_id)
    if store.exists(store.join(uri, PLAN_FILE)):
        return uri
    store.write_table(store.join(uri, "prompts.parquet"), table_of(plan.prompts, Prompt), PROMPTS)
    store.write_table(store.join(uri, "stickers.parquet"), table_of(plan.stickers, Sticker), STICKERS)
    for teacher in plan.teachers:
        rows = table_of(plan.of(teacher), PlanRow)
        store.write_table(store.join(uri, "plan", f"{teacher}.parquet"), rows, PLAN)
    counts = {"prompts": len(plan.prompts), "stickers": len(plan.stickers), "candidates": len(plan.rows)}
    store.write_json(
        store.join(uri, PLAN_FILE), {"plan_id": plan.plan_id, "teachers": plan.teachers, **counts}
    )
    return uri


def load_plan(uri: str) -> Plan:
    """Read a plan folder back. ValueError when it is none."""
    header = store.read_json(store.join(uri, PLAN_FILE))
    prompts = store.read_table(store.join(uri, "prompts.parquet"), PROMPTS).to_pylist()
    stickers = store.read_table(store.join(uri, "stickers.parquet"), STICKERS).to_pylist()
    rows = store.read_table(store.join(uri, "plan"), PLAN).to_pylist()
    return Plan(
        plan_id=header["plan_id"],
        prompts=[Prompt(**row) for row in prompts],
        stickers=[Sticker(**row) for row in stickers],
        rows=sorted((PlanRow(**row) for row in rows), key=lambda row: row.candidate_id),
    )
