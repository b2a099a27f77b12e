"""A small runs folder with an artifact of every kind, as an earlier version wrote it: a copy that tests may change."""

import json
import shutil
from pathlib import Path

from stickers import storage

ARTIFACTS = Path(__file__).resolve().parents[1] / "data" / "v0" / "artifacts"
TEACHER = "teachers/keyword-artist-8fps-25fad5369ba9"
STUDENT = "students/student-3b61bdc1e9d2"
DISTILLED = "distilled/distilled-d557564a2936"
EXPORTED = "exported/distilled-0e16283773c9-5e285drspvj3"
LATENTS = "latents/5y6n6ncp13das5m111bn8a7de7"
PLAN = "plans/2vpbxzfrcgnn"
#: asked for and never made; it replaces a row of `PLAN`
REGENERATION = "plans/3rfvykjdn9yk"
KEPT = "kept/5zrd0141ds62"
STICKERS = "stickers/24dq4kajdppb"
PROMPTS = "prompts/33t4wn45rc2f"


def copy_runs(folder: Path) -> Path:
    """A copy in `folder`."""
    runs = folder / "runs"
    shutil.copytree(ARTIFACTS, runs, copy_function=shutil.copyfile)  # written now
    return runs


def copy_artifact(runs: Path, name: str, new: str, *, stands_for: str = "", **changes: object) -> Path:
    """Another finished artifact like `name` (`kind/folder`), with some record entries changed.

    Args:
        stands_for: the name for which it becomes the current one of its kind.
    """
    kind, folder = new.split("/")
    shutil.copytree(runs / name, runs / new, copy_function=shutil.copyfile)
    record = runs / new / storage.RECORD
    record.write_text(json.dumps(json.loads(record.read_text()) | changes))
    if stands_for:
        storage.set_current(str(runs), kind, stands_for, folder)
    return runs / new
