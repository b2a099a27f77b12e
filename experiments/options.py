"""What the scripts share: their command lines, which recipes, changed how, from which data."""

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeVar

import tyro
from mlflow.exceptions import MlflowException
from ray.exceptions import RayTaskError
from rich.console import Console
from rich.pretty import Pretty
from sqlalchemy.exc import OperationalError

from actors.trainer import train_all, training_name
from recipes.profiles import PROFILES, Profile
from stickers import store
from stickers.training.job import TrainingJob
from stickers.training.recipe import Distillation, Recipe, Stage

console = Console()
AnyRecipe = TypeVar("AnyRecipe", Recipe, Distillation)
RUNS = os.environ.get("STICKERS_RUNS", "runs")
MAKERS = {
    "latents": "prepare.py",
    "plans": "candidates.py",
    "kept": "annotate.py",
    "evaluation": "evaluate.py",
}
Runs = Annotated[str, tyro.conf.arg(help="where results go: a folder or URI")]


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
    checkpoint_every: int | None = None
    """steps between checkpoints"""

    def apply(self, recipe: AnyRecipe) -> AnyRecipe:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if isinstance(recipe, Recipe):
            of_stage = {name: given.pop(name) for name in ("steps", "lr") if name in given}
            stages: tuple[Stage, ...] = tuple(replace(stage, **of_stage) for stage in recipe.stages)
            given["stages"] = stages
        return replace(recipe, **given)


NO_CHANGES = Changes()


MENDABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def run_script(main: Callable[..., int | None]) -> None:
    """Run `main` from the command line. What a person can mend (a wrong value, a full or unwritable disk) ends in one
    sentence and exit code 1; anything else is a fault of ours and keeps its traceback."""
    try:
        raise SystemExit(tyro.cli(main))
    except (ValueError, OSError, OperationalError, MlflowException, RayTaskError) as error:
        said = _mendable(_origin(error))
        if not said:
            raise
        raise SystemExit(f"error: {said}") from None


def _origin(error: BaseException) -> BaseException | None:
    """What went wrong inside a Ray task or below MLflow's store."""
    if isinstance(error, RayTaskError):
        return error.cause
    return error.__cause__ if isinstance(error, MlflowException) else error


def _mendable(error: BaseException | None) -> str:
    if isinstance(error, OSError) and error.errno in MENDABLE:
        return f"{os.strerror(error.errno)}: {error.filename or 'the runs folder'}"
    if isinstance(error, OperationalError) and "disk is full" in str(error):
        return f"{error.orig}, in the runs folder"
    return str(error) if isinstance(error, ValueError) else ""


def choose_profile(name: str) -> Profile:
    """ValueError lists the profiles."""
    if name not in PROFILES:
        raise ValueError(f"there is no profile {name!r}; profiles: {', '.join(PROFILES)}")
    return PROFILES[name]


def choose(recipes: Sequence[AnyRecipe], only: str | None, changes: Changes) -> list[AnyRecipe]:
    """The recipes asked for, changed. ValueError lists the recipes."""
    chosen = [recipe for recipe in recipes if only in (None, recipe.name)]
    if not chosen:
        raise ValueError(
            f"there is no recipe {only!r}; recipes: {', '.join(recipe.name for recipe in recipes)}"
        )
    return [changes.apply(recipe) for recipe in chosen]


def foundations_of(profile: Profile, given: str | None) -> str:
    """The folder or URI of the encoders, absolute; by default the profile's own."""
    if not given:
        return profile.foundations
    return given if "://" in given else str(Path(given).expanduser().resolve())


def current(runs: str, kind: str, profile: str) -> store.Found:
    """What the stage of that kind made, or found finished, last for a profile. ValueError when there is nothing."""
    found = store.current(runs, kind, profile)
    if not found:
        raise ValueError(
            f"{store.join(runs, kind)} holds nothing for profile {profile!r}; run experiments/{MAKERS[kind]} first"
        )
    return found


def current_training(runs: str, kind: str, profile: Profile, name: str) -> store.Found | None:
    """The training of that name that was finished, or found finished, last for a profile; or none."""
    return store.current(runs, kind, training_name(profile.name, name))


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The command line of every training script."""

    runs: Runs = RUNS
    profile: str = "tiny"
    """tiny, full or smoke"""
    only: str | None = None
    """the name of one recipe"""
    foundations: str | None = None
    """folder of autoencoder, text encoder and tokenizer, networks to start from beside it; by default the profile's"""
    dry_run: bool = False
    """print the resolved recipes with their digests and stop"""
    changes: tyro.conf.OmitArgPrefixes[Changes] = NO_CHANGES

    @property
    def place(self) -> str:
        """The runs folder, absolute."""
        return store.resolve_runs(self.runs)

    @property
    def base(self) -> str:
        """The absolute folder of the foundations."""
        return foundations_of(choose_profile(self.profile), self.foundations)

    def train(self, jobs: Sequence[TrainingJob], *, simulated: bool = False) -> int:
        """Train what is not finished. Returns 1 when a training failed: the others are finished all the same."""
        outcomes = train_all(jobs, self.place, ensemble=self.profile, simulated=simulated, console=console)
        return int(any(each.reason for each in outcomes))


Options = Annotated[TrainOptions, tyro.conf.arg(name="")]


def show(recipes: Sequence[Recipe | Distillation]) -> int:
    """The resolved recipes with their digests, for --dry-run."""
    for recipe in recipes:
        console.print(f"[bold]{recipe.name}[/] {recipe.digest()}", highlight=False)
        console.print(Pretty(recipe, expand_all=False))
    return 0
