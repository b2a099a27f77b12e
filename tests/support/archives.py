"""Finished plans as teachers leave them, drawn by hand: blocks in no order, rows that failed at first."""

from dataclasses import asdict
from pathlib import Path

from stickers import storage
from stickers.artifacts.ids import clip_digest
from stickers.artifacts.records import CANDIDATES, Candidate, PlanRow
from stickers.artifacts.schema import table_of
from stickers.candidates.archive import compact, remove_blocks
from stickers.candidates.audit import Fault, audit_index, audit_part, parts_of
from stickers.candidates.plan import Plan, PlannedTeacher, save_plan
from stickers.diffusion.sampling import SamplerSettings
from stickers.toy.grammar import toy_prompts, toy_stickers
from stickers.toy.oracle import draw_sticker
from stickers.video.codec import encode_strip

TEACHERS = [
    PlannedTeacher(name, f"digest-{name}", asdict(SamplerSettings(num_frames=2))) for name in ("calm", "wild")
]
PROMPTS = toy_prompts(6, seed=0)
STICKERS = toy_stickers(PROMPTS, 16)


def drawn_candidate(row: PlanRow, plan_id: str, attempt: int = 0) -> Candidate:
    """A row as its teacher would have made it; the first pass fails one row in five."""
    picture = draw_sticker(row.prompt, 0, 16).copy()
    picture[0, 0] = [row.seed % 256, row.seed // 256 % 256, len(row.teacher) + len(row.checkpoint), 255]
    strip = encode_strip(picture[None].repeat(2, axis=0))
    failed = not attempt and row.seed % 5 == 0
    return Candidate(
        **asdict(row),
        plan_id=plan_id,
        attempt=attempt,
        status="failed" if failed else "made",
        error="no luck" if failed else "",
        clip=None if failed else strip,
        clip_digest=None if failed else clip_digest(strip),
        num_frames=2,
        fps=8,
        seconds=0.5,
    )


def write_finished(runs: Path, plan: Plan) -> str:
    """A plan made by hand: blocks of five rows in no order, failed ones again, then compacted."""
    uri = save_plan(str(runs), plan)
    folders = []
    for teacher in plan.teachers:
        todo = plan.of(teacher)
        for attempt in (0, 1):
            folders.append(storage.join(uri, "candidates", teacher, str(attempt)))
            rows = [drawn_candidate(row, plan.plan_id, attempt) for row in todo]
            for first in reversed(range(0, len(rows), 5)):
                block = storage.join(folders[-1], "rows", f"{-first % 97}.parquet")
                storage.write_table(block, table_of(rows[first : first + 5][::-1], Candidate), CANDIDATES)
            todo = [row for row, result in zip(todo, rows, strict=True) if result.status == "failed"]
    compact(uri, plan, folders)
    storage.write_record(uri, {"plan_id": plan.plan_id})
    remove_blocks(uri)
    return uri


def audit_plan(uri: str) -> list[Fault]:
    """All faults of a finished plan: those of its index and of its parts."""
    parts = [fault for part, indexed in parts_of(uri).items() for fault in audit_part(uri, part, indexed)]
    return audit_index(uri) + parts
