"""What the training scripts share: their command line, and the recipes that it selects and changes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Optional, TypeVar, get_type_hints

import tyro
from rich.console import Console
from rich.pretty import Pretty
from rich.table import Table

from actors.screen import console
from actors.trainer import train_all
from experiments.cli.options import RUNS, Runs
from experiments.cli.project_choice import ProjectName, check_cluster, choose_project
from stickers import storage
from stickers.data.motion_buckets import MotionBuckets
from stickers.diffusion.sampling import SamplerSettings
from stickers.errors import UserError
from stickers.models.sizes import SIZES
from stickers.project import Project
from stickers.training.estimate import GIB, UTILISATION, Estimate, estimate
from stickers.training.job import TrainingJob, foundation_of, latent_factor, network_config
from stickers.training.recipe import Distillation, Recipe, Stage

#: pixels to a latent pixel of Stable Diffusion's autoencoders
USUAL_FACTOR = 8
#: columns that the table of costs needs
TABLE_WIDTH = 130
#: with picture and text, with the picture alone, with neither
GUIDED_PASSES = 3
AnyRecipe = TypeVar("AnyRecipe", Recipe, Distillation)


def _overrides() -> type:
    """One optional field for every value of recipes, stages, distillations and samplers."""
    columns: dict[str, Any] = {}
    for schema in (Recipe, Stage, Distillation):
        hints = get_type_hints(schema)
        columns |= {column.name: hints[column.name] for column in fields(schema) if column.name not in FIXED}
    sampler = get_type_hints(SamplerSettings)
    columns |= {f"{SAMPLER}{column.name}": sampler[column.name] for column in fields(SamplerSettings)}
    buckets = get_type_hints(MotionBuckets)
    columns |= {f"{BUCKETS}{column.name}": buckets[column.name] for column in fields(MotionBuckets)}
    return make_dataclass(
        "Changes",
        [(name, Optional[kind], field(default=None)) for name, kind in columns.items()],  # noqa: UP045
        frozen=True,
        kw_only=True,
        namespace={
            "__doc__": "Single values of the recipes, changed from the command line.",
            "__module__": __name__,
        },
    )


#: fields that name a recipe or have a schema of their own
FIXED = ("name", "role", "stages", "student", "sampler", "buckets")
SAMPLER, BUCKETS = "sampler_", "bucket_"
Changes = _overrides()
NO_CHANGES = Changes()


def apply(changes: Any, recipe: AnyRecipe) -> AnyRecipe:
    """The recipe with the changes that concern it; a changed recipe has another digest.

    Raises:
        UserError: a change concerns nothing in the recipe.
    """
    values = {name: value for name, value in vars(changes).items() if value is not None}
    if isinstance(recipe, Recipe):
        of_recipe = _taken(values, Recipe)
        of_stage = _taken(values, Stage)
        of_sampler = _prefixed(values, SAMPLER)
        of_buckets = _prefixed(values, BUCKETS)
        if of_buckets:
            of_stage["buckets"] = MotionBuckets(**of_buckets)
        changed: dict[str, Any] = {
            **of_recipe,
            "stages": tuple(replace(stage, **of_stage) for stage in recipe.stages),
            "sampler": replace(recipe.sampler, **of_sampler),
        }
    else:
        changed = _taken(values, Distillation)
    if values:
        raise UserError(f"recipe {recipe.name!r} has no {sorted(values)[0]}: it cannot be changed")
    return replace(recipe, **changed)


def _taken(values: dict[str, Any], schema: type) -> dict[str, Any]:
    """The values that a schema has a field for; they are removed from `values`."""
    return {column.name: values.pop(column.name) for column in fields(schema) if column.name in values}


def _prefixed(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The values whose names begin with `prefix`, without the prefix; they are removed from `values`."""
    return {name.removeprefix(prefix): values.pop(name) for name in list(values) if name.startswith(prefix)}


def choose(recipes: Sequence[AnyRecipe], only: str | None, changes: Any) -> list[AnyRecipe]:
    """The selected recipes with the changes. UserError lists the recipes."""
    chosen = [recipe for recipe in recipes if only in (None, recipe.name)]
    if not chosen:
        raise UserError(
            f"there is no recipe {only!r}; recipes: {', '.join(recipe.name for recipe in recipes)}"
        )
    return [apply(changes, recipe) for recipe in chosen]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The command line of every training script."""

    runs: Runs = RUNS
    project: ProjectName = None
    only: str | None = None
    """the name of one recipe"""
    foundations: str | None = None
    """folder of autoencoder, text encoder, tokenizer and the networks to start from; by default the project's"""
    dry_run: bool = False
    """print the resolved recipes, their digests, and what they take, and stop"""
    validate_every: int = 0
    """steps from one animated preview on the MLflow page to the next; 0 for one at the end alone"""
    changes: tyro.conf.OmitArgPrefixes[Changes] = NO_CHANGES  # type: ignore[valid-type]

    @property
    def runs_uri(self) -> str:
        """The runs folder, absolute."""
        return storage.resolve_runs(self.runs)

    def chosen_project(self) -> Project:
        """The project, with the foundation that takes the place of its own."""
        return choose_project(self.project, self.foundations)

    def train(self, jobs: Sequence[TrainingJob], project: Project, *, simulated: bool = False) -> int:
        """Train what is not finished. Returns 1 when a training failed: the others are finished all the same."""
        check_cluster(project)
        outcomes = train_all(
            jobs,
            self.runs_uri,
            project=project,
            simulated=simulated,
            validate_every=self.validate_every,
            console=console,
        )
        return int(any(outcome.reason for outcome in outcomes))


Options = Annotated[TrainOptions, tyro.conf.arg(name="")]


def show(recipes: Sequence[Recipe | Distillation], foundations: str, project: Project) -> int:
    """Print the resolved recipes with their digests, then what each stage takes, for --dry-run."""
    table = Table(
        "training", "stage", "steps", "pixels", "fps", "predicts", "GiB a GPU", "GPUs", "H100-hours",
        title=f"what the trainings of {project.name} take, at {UTILISATION:.0%} of an H100's peak",
    )  # fmt: skip
    for recipe in recipes:
        console.print(f"[bold]{recipe.name}[/] {recipe.digest()}", highlight=False)
        console.print(Pretty(recipe, expand_all=False))
        if isinstance(recipe, Recipe):
            _add_stages(table, recipe, recipe.encoders or foundations)
        else:
            hours = distillation_hours(recipe, project, foundations)
            table.add_row(
                recipe.name, "", str(recipe.steps), str(recipe.resolution), str(recipe.fps), "", "",
                str(recipe.num_workers), f"{hours:,.2f}",
            )  # fmt: skip
    Console(width=max(console.width, TABLE_WIDTH)).print(table)
    return 0


def _add_stages(table: Table, recipe: Recipe, foundations: str) -> None:
    """Add a row for each stage; its memory is the stage's peak."""
    config, factor = config_of(recipe, foundations), factor_of(foundations)
    for number, stage in enumerate(recipe.stages, 1):
        costs = one_step_costs(recipe, stage, config, factor)
        table.add_row(
            recipe.name if number == 1 else "",
            f"{number} of {len(recipe.stages)}, " + " + ".join(name for name, _ in stage.datasets),
            f"{stage.steps:,}",
            str(stage.resolution),
            "bucketed" if stage.buckets else str(stage.fps),
            stage.prediction,
            f"{costs.bytes_a_worker('cuda') / GIB:.1f}",
            str(recipe.num_workers),
            f"{costs.gpu_hours * stage.steps:,.2f}",
        )


def one_step_costs(recipe: Recipe, stage: Stage, config: dict[str, Any], factor: int) -> Estimate:
    """What one step of a recipe's stage takes; recipes of one shape are counted once."""
    shape = replace(recipe, name="", foundation="", encoders="", seed=0, stages=(_shape_of(stage),))
    return _estimate(replace(shape, sampler=SamplerSettings()), json.dumps(config, sort_keys=True), factor)


def _shape_of(stage: Stage) -> Stage:
    """One step of a stage, reduced to what costs time or memory."""
    return Stage(
        steps=1,
        resolution=stage.resolution,
        fps=1,
        prediction="v_prediction",
        datasets=(("any", 1.0),),
        freeze_spatial=stage.freeze_spatial,
    )


@lru_cache(maxsize=64)
def _estimate(recipe: Recipe, config: str, factor: int) -> Estimate:
    """The estimate is cached, because it takes many seconds for a network of billions."""
    return estimate(recipe, json.loads(config), factor)


def config_of(recipe: Recipe, foundations: str) -> dict[str, Any]:
    """The configuration of the network that a recipe starts from; of one of the paper's sizes also before it exists.

    Raises:
        UserError: there is no such network and no such size.
    """
    foundation_uri = foundation_of(recipe, foundations)
    size = SIZES.get(foundation_uri.rsplit("/", 1)[-1])
    if size is not None and not storage.exists(foundation_uri):
        return size.config()
    return network_config(foundation_uri)


def factor_of(foundations: str) -> int:
    """Pixels a latent pixel; of foundations that are still to be made the usual number."""
    return latent_factor(foundations) if storage.exists(foundations) else USUAL_FACTOR


def distillation_hours(recipe: Distillation, project: Project, foundations: str) -> float:
    """H100-hours of a distillation: for each student's step the teacher's guided passes, without gradients."""
    student = project.student(recipe.student)
    stage = replace(_shape_of(student.stages[-1]), resolution=recipe.resolution)
    like = replace(
        student,
        name="",
        foundation="",
        seed=0,
        stages=(stage,),
        batch_size=recipe.batch_size,
        num_workers=recipe.num_workers,
    )
    encoders = student.encoders or foundations
    config = json.dumps(config_of(student, encoders), sort_keys=True)
    hours = recipe.steps * _estimate(like, config, factor_of(encoders)).gpu_hours
    teacher_passes = GUIDED_PASSES * recipe.teacher_steps / recipe.student_steps
    own_passes = 4 if like.gradient_checkpointing else 3
    return hours * (teacher_passes + own_passes) / own_passes
