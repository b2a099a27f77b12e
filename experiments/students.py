"""Train the students on what people kept: `python experiments/students.py`.

The data are the newest kept set; a new vote makes a new kept set, and that a new student beside the old one.
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


def kept_sets(kept: store.Found) -> dict[str, str]:
    """Latents of what people kept, and of every candidate they saw, for comparison."""
    return {
        "kept": store.join(kept.uri, "latents.safetensors"),
        "all": store.join(kept.uri, "all.safetensors"),
    }


def main(
    runs: Runs = RUNS,
    profile: str = "tiny",
    only: str | None = None,
    foundations: str | None = None,
    changes: tyro.conf.OmitArgPrefixes[Changes] = NO_CHANGES,
    dry_run: bool = False,
) -> int:
    """Train every student of a profile.

    Args:
        profile: tiny, full or smoke.
        only: the name of one student.
        foundations: folder of autoencoder, text encoder and tokenizer, networks to start from beside it; by default the
            profile's.
        dry_run: print the resolved recipes with their digests and stop.
    """
    chosen = choose_profile(profile)
    recipes = choose(chosen.students, only, changes)
    if dry_run:
        show(recipes, console)
        return 0
    place, base = store.resolve_runs(runs), foundations_of(chosen, foundations)
    kept = newest(place, "kept", profile)
    jobs = [TrainingJob.of_recipe(recipe, foundations=base, sets=kept_sets(kept)) for recipe in recipes]
    simulated = bool(kept.record["simulated"])
    return exit_code(train_all(jobs, place, ensemble=profile, simulated=simulated, console=console))


if __name__ == "__main__":
    try:
        raise SystemExit(tyro.cli(main))
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
