"""Train the ensemble: `python experiments/teachers.py`, or `ray job submit -- python experiments/teachers.py`.

Teachers train side by side and fail alone. The command can be stopped at any instant and given again: it finishes what
is missing, and a finished teacher is left alone.
"""

from experiments.cli.options import current, run_script
from experiments.cli.project_choice import choose_project
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
    project = choose_project(options.project)
    recipes = choose(project.teachers, options.only, options.changes)
    base = options.base(project)
    if options.dry_run:
        later: list[Recipe | Distillation] = [*project.students, *project.distillations]
        return show([*recipes, *(later if options.only is None else ())], base, project)
    sets = prepared_sets(current(options.runs_uri, "latents", project))
    jobs = [TrainingJob.of_recipe(recipe, foundations=base, sets=sets) for recipe in recipes]
    return options.train(jobs, project)


if __name__ == "__main__":
    run_script(main)
