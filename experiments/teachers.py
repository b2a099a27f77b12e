"""Train the ensemble: `python experiments/teachers.py`, or `ray job submit -- python experiments/teachers.py`.

Teachers train side by side and fail alone. The command can be stopped at any instant and given again: it finishes what
is missing, and a finished teacher is left alone.
"""

from experiments.cli.options import current_latents, run_script
from experiments.cli.training import Options, choose, show
from stickers import storage
from stickers.training.job import TrainingJob
from stickers.training.recipe import Distillation, Recipe, sized


def prepared_sets(latents: storage.Artifact) -> dict[str, str]:
    """The sets that `prepare.py` wrote, by name and resolution."""
    return {
        sized(name, size): storage.join(latents.uri, f"{name}-{size}.safetensors")
        for name in latents.record["clips"]
        for size in latents.record["sizes"]
    }


def main(options: Options) -> int:
    """Train every teacher of a project."""
    project = options.chosen_project()
    recipes = choose(project.teachers, options.only, options.changes)
    base = project.foundation.place
    if options.dry_run:
        later: list[Recipe | Distillation] = [*project.students, *project.distillations]
        return show([*recipes, *(later if options.only is None else ())], base, project)
    jobs = [
        TrainingJob.of_recipe(
            recipe,
            foundations=base,
            sets=prepared_sets(current_latents(options.runs_uri, project, recipe.encoders or base)),
        )
        for recipe in recipes
    ]
    return options.train(jobs, project)


if __name__ == "__main__":
    run_script(main)
