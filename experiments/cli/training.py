"""What the training scripts share: their command line, and which recipes it means, changed how."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from typing import Annotated, Any, Optional, TypeVar, get_type_hints

import tyro
from rich.console import Console
from rich.pretty import Pretty

from actors.trainer import train_all
from experiments.cli.options import RUNS, Runs, foundations_of
from experiments.cli.projects import ProjectName
from stickers import storage
from stickers.data.motion_buckets import MotionBuckets
from stickers.diffusion.sampling import SamplerSettings
from stickers.errors import UserError
from stickers.project import Project
from stickers.training.estimate import estimate
from stickers.training.job import TrainingJob, foundation_of, latent_factor, network_config
from stickers.training.recipe import Distillation, Recipe, Stage

console = Console()
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


#: what names a recipe or has a schema of its own
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
    """The values that a schema has a field for, taken out of `values`."""
    return {column.name: values.pop(column.name) for column in fields(schema) if column.name in values}


def _prefixed(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The values whose names begin with `prefix`, without it, taken out of `values`."""
    return {name.removeprefix(prefix): values.pop(name) for name in list(values) if name.startswith(prefix)}


def choose(recipes: Sequence[AnyRecipe], only: str | None, changes: Any) -> list[AnyRecipe]:
    """The recipes asked for, changed. UserError lists the recipes."""
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
    def place(self) -> str:
        """The runs folder, absolute."""
        return storage.resolve_runs(self.runs)

    def base(self, project: Project) -> str:
        """The absolute folder of the foundations."""
        return foundations_of(project, self.foundations)

    def train(self, jobs: Sequence[TrainingJob], project: Project, *, simulated: bool = False) -> int:
        """Train what is not finished. Returns 1 when a training failed: the others are finished all the same."""
        outcomes = train_all(
            jobs,
            self.place,
            project=project,
            simulated=simulated,
            validate_every=self.validate_every,
            console=console,
        )
        return int(any(outcome.reason for outcome in outcomes))


Options = Annotated[TrainOptions, tyro.conf.arg(name="")]


def show(recipes: Sequence[Recipe | Distillation], foundations: str) -> int:
    """The resolved recipes with their digests and what they take, for --dry-run."""
    for recipe in recipes:
        console.print(f"[bold]{recipe.name}[/] {recipe.digest()}", highlight=False)
        console.print(Pretty(recipe, expand_all=False))
        if isinstance(recipe, Recipe):
            config = network_config(foundation_of(recipe, foundations))
            found = estimate(recipe, config, latent_factor(foundations))
            console.print(str(found), highlight=False, soft_wrap=True)
    return 0
