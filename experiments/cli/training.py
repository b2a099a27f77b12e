"""What the training scripts share: their command line, and which recipes it means, changed how."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

import tyro
from rich.console import Console
from rich.pretty import Pretty

from actors.trainer import train_all
from experiments.cli.options import RUNS, Runs, choose_profile, foundations_of
from stickers import storage
from stickers.errors import UserError
from stickers.training.estimate import estimate
from stickers.training.job import TrainingJob, foundation_of, latent_factor, network_config
from stickers.training.recipe import Distillation, Recipe, Stage

console = Console()
AnyRecipe = TypeVar("AnyRecipe", Recipe, Distillation)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Single values of the recipes, changed from the command line; a changed recipe has another digest."""

    steps: int | None = None
    """optimiser steps, of each stage"""
    batch_size: int | None = None
    """clips a step, over all workers"""
    lr: float | None = None
    """peak learning rate, of each stage"""
    seed: int | None = None
    """of data order, noise and dropout"""
    num_workers: int | None = None
    """processes a training, one GPU (or CPU) each"""
    ema_decay: float | None = None
    """how slowly the averaged weights follow, of teachers and students"""
    checkpoint_every: int | None = None
    """steps between checkpoints"""

    def apply(self, recipe: AnyRecipe) -> AnyRecipe:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if isinstance(recipe, Recipe):
            of_stage = {name: given.pop(name) for name in ("steps", "lr") if name in given}
            stages: tuple[Stage, ...] = tuple(replace(stage, **of_stage) for stage in recipe.stages)
            given["stages"] = stages
        elif "ema_decay" in given:
            raise UserError(f"distillation {recipe.name!r} averages no weights: it takes no ema_decay")
        return replace(recipe, **given)


NO_CHANGES = Changes()


def choose(recipes: Sequence[AnyRecipe], only: str | None, changes: Changes) -> list[AnyRecipe]:
    """The recipes asked for, changed. UserError lists the recipes."""
    chosen = [recipe for recipe in recipes if only in (None, recipe.name)]
    if not chosen:
        raise UserError(
            f"there is no recipe {only!r}; recipes: {', '.join(recipe.name for recipe in recipes)}"
        )
    return [changes.apply(recipe) for recipe in chosen]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The command line of every training script."""

    runs: Runs = RUNS
    profile: str = "tiny"
    """tiny, full or smoke"""
    only: str | None = None
    """the name of one recipe"""
    foundations: str | None = None
    """folder of autoencoder, text encoder, tokenizer and the networks to start from; by default the profile's"""
    dry_run: bool = False
    """print the resolved recipes, their digests, and what they take, and stop"""
    validate_every: int = 0
    """steps from one animated preview on the MLflow page to the next; 0 for one at the end alone"""
    changes: tyro.conf.OmitArgPrefixes[Changes] = NO_CHANGES

    @property
    def place(self) -> str:
        """The runs folder, absolute."""
        return storage.resolve_runs(self.runs)

    @property
    def base(self) -> str:
        """The absolute folder of the foundations."""
        return foundations_of(choose_profile(self.profile), self.foundations)

    def train(self, jobs: Sequence[TrainingJob], *, simulated: bool = False) -> int:
        """Train what is not finished. Returns 1 when a training failed: the others are finished all the same."""
        outcomes = train_all(
            jobs,
            self.place,
            ensemble=self.profile,
            simulated=simulated,
            validate_every=self.validate_every,
            console=console,
        )
        return int(any(each.reason for each in outcomes))


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
