"""Distil the student, guidance and steps together, to eight single passes: `python experiments/distil.py`."""

from experiments.options import (
    Options,
    choose,
    choose_profile,
    newest,
    newest_trained,
    run_script,
    show,
)
from experiments.students import kept_sets
from stickers import store
from stickers.training.job import TrainingJob
from stickers.training.recipe import Distillation


def find_student(runs: str, recipe: Distillation) -> store.Found:
    """The newest finished student of the recipe's name and picture size. ValueError when there is none."""
    found = newest_trained(runs, "students", recipe.student, recipe.resolution)
    if not found:
        raise ValueError(
            f"no finished student {recipe.student!r} of {recipe.resolution} pixels in {store.join(runs, 'students')}; "
            "run experiments/students.py first"
        )
    return found


def main(options: Options) -> int:
    """Distil a profile's newest student."""
    recipes = choose([choose_profile(options.profile).distillation], options.only, options.changes)
    if options.dry_run:
        return show(recipes)
    kept = newest(options.place, "kept", options.profile)
    sets = kept_sets(kept)
    jobs = [
        TrainingJob.of_distillation(
            recipe, find_student(options.place, recipe), foundations=options.base, sets=sets
        )
        for recipe in recipes
    ]
    return options.train(jobs, simulated=bool(kept.record["simulated"]))


if __name__ == "__main__":
    run_script(main)
