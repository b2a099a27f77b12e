"""Train the students on what people kept: `python experiments/students.py`.

They learn from the last kept set. A new vote makes a new kept set, and a new kept set makes a new student beside the
old one. Clips are encoded for each student by its own encoders at its own resolution.
"""

from collections.abc import Sequence

from experiments.cli.keeping import kept_latents
from experiments.cli.options import current, run_script
from experiments.cli.stages import Stages
from experiments.cli.training import Options, choose, show
from stickers import storage
from stickers.training.job import TrainingJob
from stickers.training.recipe import Distillation, Recipe, sized

#: the sets that a plan's votes can make
KEPT_SETS = ("kept", "all")

#: the stages of this command
STAGES = ("encode the kept clips", "train")


def kept_sets(kept: storage.Artifact, recipe: Recipe | Distillation, base: str) -> dict[str, str]:
    """Latents of the sets that a recipe asks for: what people kept, or every candidate they saw, for comparison."""
    if isinstance(recipe, Distillation):
        pairs = {(recipe.dataset, recipe.resolution)}
    else:
        pairs = {(name, stage.resolution) for stage in recipe.stages for name, _ in stage.datasets}
    return {
        sized(name, size): kept_latents(kept, name, base, size)
        for name, size in sorted(pairs)
        if name in KEPT_SETS
    }


def student_jobs(kept: storage.Artifact, recipes: Sequence[Recipe], base: str) -> list[TrainingJob]:
    """A job for each student."""
    return [
        TrainingJob.of_recipe(recipe, foundations=base, sets=kept_sets(kept, recipe, recipe.encoders or base))
        for recipe in recipes
    ]


def main(options: Options) -> int:
    """Train every student of a project."""
    project = options.chosen_project()
    recipes = choose(project.students, options.only, options.changes)
    base = project.foundation.place
    if options.dry_run:
        return show(recipes, base, project)
    kept = current(options.runs_uri, "kept", project)
    stages = Stages(*STAGES)
    stages.begin(STAGES[0])
    jobs = student_jobs(kept, recipes, base)
    stages.begin(STAGES[1])
    return options.train(jobs, project, simulated=bool(kept.record["simulated"]))


if __name__ == "__main__":
    run_script(main)
