"""Train the ensemble: `python experiments/teachers.py`, or `ray job submit -- python experiments/teachers.py`.

Teachers train side by side and fail alone. The command can be stopped at any instant and given again: it finishes what
is missing, and a finished teacher is left alone.
"""

import tyro
from rich.console import Console

from actors.trainer import train_all
from experiments.options import (
    NO_CHANGES,
    RUNS,
    Changes,
    Runs,
    choose,
    choose_profile,
    exit_code,
    foundations_of,
    newest,
    show,
)
from stickers import store
from stickers.training.job import TrainingJob

console = Console()


def main(
    runs: Runs = RUNS,
    profile: str = "tiny",
    only: str | None = None,
    foundations: str | None = None,
    changes: tyro.conf.OmitArgPrefixes[Changes] = NO_CHANGES,
    dry_run: bool = False,
) -> int:
    """Train every teacher of a profile.

    Args:
        profile: tiny, full or smoke.
        only: the name of one teacher.
        foundations: folder of autoencoder, text encoder and tokenizer, networks to start from beside it; by default the
            profile's.
        dry_run: print the resolved recipes with their digests and stop.
    """
    chosen = choose_profile(profile)
    recipes = choose(chosen.teachers, only, changes)
    if dry_run:
        show(recipes, console)
        return 0
    place, base = store.resolve_runs(runs), foundations_of(chosen, foundations)
    latents = newest(place, "latents", profile)
    sets = {name: store.join(latents.uri, f"{name}.safetensors") for name in latents.record["clips"]}
    jobs = [TrainingJob.of_recipe(recipe, foundations=base, sets=sets) for recipe in recipes]
    return exit_code(train_all(jobs, place, ensemble=profile, console=console))


if __name__ == "__main__":
    try:
        raise SystemExit(tyro.cli(main))
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
