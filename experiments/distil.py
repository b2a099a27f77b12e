"""Distil students, guidance and steps together, to eight single passes: `python experiments/distil.py`."""

from experiments.cli.options import current, current_training, run_script
from experiments.cli.stages import Stages
from experiments.cli.training import Options, choose, show
from experiments.students import STAGES, kept_sets
from stickers import storage
from stickers.errors import UserError
from stickers.project import Project
from stickers.training.job import TrainingJob
from stickers.training.recipe import Distillation


def find_student(runs: str, project: Project, recipe: Distillation) -> storage.Artifact:
    """The project's finished student that the recipe names. UserError when there is none."""
    student = current_training(runs, "students", project, recipe.student)
    if not student:
        raise UserError(
            f"project {project.name!r} has no finished student {recipe.student!r} in {storage.join(runs, 'students')}; "
            "run experiments/students.py first"
        )
    return student


def distillation_job(
    runs: str, project: Project, recipe: Distillation, kept: storage.Artifact, base: str
) -> TrainingJob:
    """The distillation of a project's finished student. UserError: there is none."""
    student = find_student(runs, project, recipe)
    sets = kept_sets(kept, recipe, student.record.get("own_encoders") or base)
    return TrainingJob.of_distillation(recipe, student, foundations=base, sets=sets)


def main(options: Options) -> int:
    """Make every distillation of a project."""
    project = options.chosen_project()
    recipes = choose(project.distillations, options.only, options.changes)
    base = project.foundation.place
    if options.dry_run:
        return show(recipes, base, project)
    kept = current(options.runs_uri, "kept", project)
    stages = Stages(*STAGES)
    stages.begin(STAGES[0])
    jobs = [distillation_job(options.runs_uri, project, recipe, kept, base) for recipe in recipes]
    stages.begin(STAGES[1])
    return options.train(jobs, project, simulated=bool(kept.record["simulated"]))


if __name__ == "__main__":
    run_script(main)
