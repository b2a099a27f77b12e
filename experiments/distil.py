"""Distil the student, guidance and steps together, to eight single passes: `python experiments/distil.py`."""

import tyro
from rich.console import Console

from actors.trainer import train_all
from experiments.options import (
    NO_CHANGES,
    RUNS,
    Changes,
    Runs,
    choose,
    choose_profile,
    exit_code,
    foundations_of,
    newest,
    show,
)
from experiments.students import kept_sets
from stickers import store
from stickers.training.job import TrainingJob
from stickers.training.recipe import Distillation

console = Console()


def find_student(runs: str, recipe: Distillation) -> store.Found:
    """The newest finished student of the recipe's name and picture size. ValueError when there is none."""
    found = [
        each
        for each in store.find_records(runs, "students")
        if each.record["name"] == recipe.student and each.record["picture_size"] == recipe.resolution
    ]
    if not found:
        raise ValueError(
            f"no finished student {recipe.student!r} of {recipe.resolution} pixels in {store.join(runs, 'students')}; "
            "run experiments/students.py first"
        )
    return found[-1]


def main(
    runs: Runs = RUNS,
    profile: str = "tiny",
    only: str | None = None,
    foundations: str | None = None,
    changes: tyro.conf.OmitArgPrefixes[Changes] = NO_CHANGES,
    dry_run: bool = False,
) -> int:
    """Distil a profile's newest student.

    Args:
        profile: tiny, full or smoke.
        only: the name of the distillation.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the profile's.
        dry_run: print the resolved recipe with its digest and stop.
    """
    chosen = choose_profile(profile)
    recipes = choose([chosen.distillation], only, changes)
    if dry_run:
        show(recipes, console)
        return 0
    place, base = store.resolve_runs(runs), foundations_of(chosen, foundations)
    kept = newest(place, "kept", profile)
    jobs = [
        TrainingJob.of_distillation(
            recipe, find_student(place, recipe), foundations=base, sets=kept_sets(kept)
        )
        for recipe in recipes
    ]
    simulated = bool(kept.record["simulated"])
    return exit_code(train_all(jobs, place, ensemble=profile, simulated=simulated, console=console))


if __name__ == "__main__":
    try:
        raise SystemExit(tyro.cli(main))
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
