"""A finished plan of real clips without any model: one teacher draws what prompts admit, the others draw stills."""

from pathlib import Path

import numpy as np

from stickers import storage
from stickers.artifacts.ids import clip_digest
from stickers.artifacts.records import CANDIDATES, Candidate, PlanRow
from stickers.artifacts.schema import table_of
from stickers.candidates.archive import compact
from stickers.candidates.plan import Plan, PlannedTeacher, make_plan, save_plan
from stickers.candidates.scoring import score
from stickers.toy.grammar import toy_prompts, toy_stickers
from stickers.toy.motions import render_motion
from stickers.toy.oracle import GRIDS, draw_sticker, look_of
from stickers.toy.words import meaning
from stickers.video.codec import encode_strip

SIZE = 32
NUM_FRAMES = 8
#: the frame that is the sticker itself
STILL_AT = 3


def candidate(row: PlanRow, plan_id: str, frames: np.ndarray) -> Candidate:
    strip = encode_strip(frames)
    row_candidate = Candidate(
        **vars(row),
        plan_id=plan_id,
        attempt=0,
        status="made",
        error="",
        clip=strip,
        clip_digest=clip_digest(strip),
        num_frames=NUM_FRAMES,
        fps=8,
        seconds=0.1,
    )
    return score(row_candidate)


def drawn(plan: Plan, row: PlanRow) -> np.ndarray:
    """The clip of a row: of the teacher `good` what the prompt admits, of every other teacher the frozen still."""
    index = next(sticker.image_index for sticker in plan.stickers if sticker.sticker_id == row.sticker_id)
    if row.teacher == "good":
        # of the clips that the prompt admits, the one that the seed picks; the others need not be drawn
        motions, modes = meaning(row.prompt).motions, GRIDS["coarse"]
        number, at = divmod(row.seed % (len(motions) * len(modes)), len(modes))
        times = np.arange(NUM_FRAMES) - STILL_AT
        return render_motion(look_of(row.prompt, index), motions[number], modes[at], times, SIZE)
    return np.repeat(draw_sticker(row.prompt, index, SIZE)[None], NUM_FRAMES, axis=0)


def finish_plan(
    runs: Path, num_prompts: int, teachers: tuple[str, ...] = ("good", "lazy"), *, num_seeds: int = 1
) -> Plan:
    """Write a finished plan into a runs folder as the current one of the tiny project."""
    prompts = toy_prompts(num_prompts, seed=0)
    ensemble = [PlannedTeacher(name, name, {}) for name in teachers]
    plan = make_plan(prompts, toy_stickers(prompts, SIZE), ensemble, num_seeds=num_seeds)
    uri = save_plan(str(runs), plan)
    rows = [candidate(row, plan.plan_id, drawn(plan, row)) for row in plan.rows]
    folder = storage.join(uri, "candidates", "all", "0")
    storage.write_table(storage.join(folder, "rows", "block.parquet"), table_of(rows, Candidate), CANDIDATES)
    compact(uri, plan, [folder])
    storage.write_record(uri, {"plan_id": plan.plan_id, "project": "tiny"})
    storage.set_current(str(runs), "plans", "tiny", plan.plan_id)
    return plan
