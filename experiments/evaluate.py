"""Every system on held-out stickers, measured against what their prompts admit: `python experiments/evaluate.py`.

Held-out pairs of subject and motion are in no training set, plan or kept set. Each sticker's readings are written as
soon as they exist, so an interrupted evaluation goes on where it stopped.
"""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import ray
from ray.util import ActorPool
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from actors.cluster import connect
from actors.judge import Item, Judge, foundation_systems
from experiments.cli.options import RUNS, Runs, choose_profile, current_training, foundations_of, run_script
from recipes.toy.profiles import Profile
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.data.latents import weights_digest
from stickers.evaluation.comparisons import Difference, Figures, figures, paired
from stickers.metrics.truth_error import Reading
from stickers.prompts.tables import held_out_prompts
from stickers.toy.words import meaning

console = Console()
READINGS = pa.schema(
    [
        ("item", pa.string()),
        ("prompt", pa.string()),
        ("bucket", pa.string()),
        ("system", pa.string()),
        ("seed", pa.int64()),
        ("fps", pa.int32()),
        ("num_frames", pa.int32()),
        ("distance", pa.float64()),
        ("still_distance", pa.float64()),
        ("nearest", pa.string()),
        ("right", pa.bool_()),
        ("motion_score", pa.float64()),
        ("clip", pa.binary()),
    ]
)


def trained_systems(runs: str, profile: Profile) -> dict[str, storage.Artifact]:
    """The profile's finished teachers, students and distilled student, in that order."""
    wanted = {
        "teachers": [recipe.name for recipe in profile.teachers],
        "students": [recipe.name for recipe in profile.students],
        "distilled": [profile.distillation.name],
    }
    found: dict[str, storage.Artifact] = {}
    for kind, names in wanted.items():
        for name in names:
            one = current_training(runs, kind, profile, name)
            if one:
                found[name] = one
    return found


def items(profile: Profile) -> list[Item]:
    """The held-out stickers, one picture a prompt."""
    prompts = held_out_prompts(profile.num_evaluation, profile.seed)
    return [Item(prompt.text, 0, profile.seeds_per_sticker) for prompt in prompts]


def judge_all(todo: list[Item], place: str, systems: dict[str, str], foundations: str, size: int) -> None:
    """Judge what is missing on one actor a core."""
    todo = [item for item in todo if not storage.exists(storage.join(place, "items", f"{item.key}.parquet"))]
    if not todo:
        return
    make = ray.remote(num_cpus=1)(Judge)
    workers = min(len(todo), max(1, os.cpu_count() or 1))
    pool = ActorPool([make.remote(systems, foundations, size) for _ in range(workers)])
    results = pool.map_unordered(lambda actor, item: actor.judge.remote(item), todo)
    for rows in tqdm(results, total=len(todo), desc="evaluate", unit="sticker"):
        table = pa.Table.from_pylist(rows, schema=READINGS)
        storage.write_table(storage.join(place, "items", f"{rows[0]['item']}.parquet"), table, READINGS)


def compare(rows: list[dict]) -> tuple[list[Figures], list[Difference]]:
    """Figures of each system, and students against still and foundation, sticker by sticker.

    The bootstrap draws pairs of subject and motion: the phrases of one pair are no independent samples.
    """
    systems = list(dict.fromkeys(row["system"] for row in rows))
    by_system: dict[str, list[dict]] = {name: [] for name in systems}
    for row in sorted(rows, key=lambda r: (r["item"], r["seed"])):
        by_system[row["system"]].append(row)
    said = [meaning(row["prompt"]) for row in by_system["still"]]
    groups = [f"{each.subject} {each.motions}" for each in said]
    readings = {
        name: [Reading(r["distance"], r["still_distance"], r["nearest"], r["right"]) for r in mine]
        for name, mine in by_system.items()
    }
    students = [name for name in systems if "student" in name or name == "distilled"]
    students = [name for name in students if not name.startswith("foundation")]
    pairs = [(name, base) for name in students for base in ("still", "foundation student")]
    if "student-from-all" in systems:
        pairs.append(("student", "student-from-all"))
    return (
        [figures(name, readings[name], groups) for name in systems],
        [paired(readings, name, base, groups) for name, base in pairs],
    )


def show(found: list[Figures], gaps: list[Difference], motion: dict[str, float]) -> None:
    """The table that the issue of honesty asks for: error, share of right motions, intervals, motion size."""
    table = Table(
        "system", "error (truth 0, still 1)", "right motion", "motion size", "n", title="held-out stickers"
    )
    for each in found:
        table.add_row(
            each.system,
            f"{each.error:.2f}  [{each.error_low:.2f}, {each.error_high:.2f}]",
            f"{each.right:.2f}  [{each.right_low:.2f}, {each.right_high:.2f}]",
            f"{motion[each.system]:.2f}",
            str(each.count),
        )
    console.print(table)
    for gap in gaps:
        verdict = "excludes 0" if gap.significant else "includes 0"
        console.print(
            f"{gap.system} minus {gap.baseline}: {gap.difference:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}], {verdict}",
            highlight=False,
        )


def read_rows(place: str) -> list[dict]:
    """All readings of an evaluation."""
    return storage.read_table(storage.join(place, "items")).to_pylist()


def main(
    runs: Runs = RUNS,
    profile: str = "tiny",
    foundations: str | None = None,
) -> None:
    """Evaluate every finished system on held-out stickers, with paired 95 % bootstrap intervals.

    Args:
        profile: tiny, full or smoke.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the profile's.
    """
    chosen, place = choose_profile(profile), storage.resolve_runs(runs)
    base = foundations_of(chosen, foundations)
    found = trained_systems(place, chosen)
    todo = items(chosen)
    key = content_id(
        "evaluation",
        *(f.folder for f in found.values()),
        [[item.key, item.num_seeds] for item in todo],
        chosen.picture_size,
        weights_digest(Path(base)),
    )
    target = storage.join(place, "evaluation", key)
    folders = {name: storage.local_folder(f.uri) for name, f in found.items()}
    systems = {**foundation_systems(base), **folders}
    if not storage.exists(storage.join(target, storage.RECORD)):
        with connect():
            judge_all(todo, target, systems, base, chosen.picture_size)
    rows = read_rows(target)
    measured, gaps = compare(rows)
    motion = {
        f.system: float(np.mean([r["motion_score"] for r in rows if r["system"] == f.system]))
        for f in measured
    }
    show(measured, gaps, motion)
    if not storage.exists(storage.join(target, storage.RECORD)):
        record = {
            "profile": profile,
            "figures": [vars(f) for f in measured],
            "differences": [vars(g) for g in gaps],
        }
        storage.write_record(
            target, {**record, "motion_size": motion, "systems": systems, "stickers": len(todo)}
        )
    storage.set_current(place, "evaluation", profile, key)


if __name__ == "__main__":
    run_script(main)
