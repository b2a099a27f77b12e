"""Train the students on what people kept: `python experiments/students.py`.

The data are the kept set that was made last; a new vote makes a new kept set, and that a new student beside the old.
"""

from experiments.cli.options import choose_profile, current, run_script
from experiments.cli.training import Options, choose, show
from stickers import storage
from stickers.training.job import TrainingJob
from stickers.training.recipe import sized


def kept_sets(kept: storage.Artifact, size: int) -> dict[str, str]:
    """Latents of what people kept, and of every candidate they saw, for comparison; `size` is that of the clips."""
    return {
        sized("kept", size): storage.join(kept.uri, "latents.safetensors"),
        sized("all", size): storage.join(kept.uri, "all.safetensors"),
    }


def main(options: Options) -> int:
    """Train every student of a profile."""
    recipes = choose(choose_profile(options.profile).students, options.only, options.changes)
    if options.dry_run:
        return show(recipes, options.base)
    kept = current(options.place, "kept", options.profile)
    sets = kept_sets(kept, choose_profile(options.profile).picture_size)
    return options.train(
        [TrainingJob.of_recipe(recipe, foundations=options.base, sets=sets) for recipe in recipes],
        simulated=bool(kept.record["simulated"]),
    )


if __name__ == "__main__":
    run_script(main)
