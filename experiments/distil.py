"""Distil the student, guidance and steps together, to eight single passes: `python experiments/distil.py`."""

from experiments.cli.options import choose_profile, current, current_training, run_script
from experiments.cli.training import Options, choose, show
from experiments.students import kept_sets
from recipes.toy.profiles import Profile
from stickers import storage
from stickers.errors import UserError
from stickers.training.job import TrainingJob
from stickers.training.recipe import Distillation


def find_student(runs: str, profile: Profile, recipe: Distillation) -> storage.Artifact:
    """The profile's finished student that the recipe names. UserError when there is none."""
    found = current_training(runs, "students", profile, recipe.student)
    if not found:
        raise UserError(
            f"profile {profile.name!r} has no finished student {recipe.student!r} in {storage.join(runs, 'students')}; "
            "run experiments/students.py first"
        )
    return found


def main(options: Options) -> int:
    """Distil a profile's student."""
    profile = choose_profile(options.profile)
    recipes = choose([profile.distillation], options.only, options.changes)
    if options.dry_run:
        return show(recipes, options.base)
    kept = current(options.place, "kept", options.profile)
    sets = kept_sets(kept, profile.picture_size)
    jobs = [
        TrainingJob.of_distillation(
            recipe, find_student(options.place, profile, recipe), foundations=options.base, sets=sets
        )
        for recipe in recipes
    ]
    return options.train(jobs, simulated=bool(kept.record["simulated"]))


if __name__ == "__main__":
    run_script(main)
