"""The distilled student becomes what is served, one folder under a registered name: `python experiments/export.py`."""

from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from actors.tracking import CHAMPION, STUDENT, Tracking
from experiments.cli.options import (
    RUNS,
    Runs,
    choose_profile,
    current_training,
    encoder_digests,
    foundations_of,
    run_script,
)
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.export import assemble

console = Console()


def main(
    runs: Runs = RUNS, profile: str = "tiny", alias: str = CHAMPION, foundations: str | None = None
) -> None:
    """Export a profile's distilled student and register it.

    Args:
        profile: tiny, full or smoke.
        alias: the registry alias that serving follows.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the profile's.
    """
    chosen, place = choose_profile(profile), storage.resolve_runs(runs)
    found = current_training(place, "distilled", chosen, chosen.distillation.name)
    if found is None:
        raise UserError(
            f"{place} holds no distilled student for profile {profile!r}; run experiments/distil.py first"
        )
    base = foundations_of(chosen, foundations)
    folder = Path(storage.local_folder(found.uri))
    digests = [weights_digest(folder / "checkpoint"), *encoder_digests(base)]
    name = f"{found.record['name']}-{found.record['recipe_digest']}-{content_id('exported', *digests)[:12]}"
    target = storage.join(place, "exported", name)
    if not storage.exists(storage.join(target, storage.RECORD)):
        with TemporaryDirectory() as local:
            assemble(folder, base).save(local)
            storage.upload_folder(local, target)
        origin = {"trained": found.folder, "simulated": found.record["simulated"]}
        storage.write_record(target, {"profile": profile, "digests": digests, **origin})
    version = Tracking.open(place).register(target, found.record["mlflow_run"], alias=alias)
    console.print(f"exported to {target}", soft_wrap=True, highlight=False)
    console.print(f"registered as models:/{STUDENT}@{alias}, version {version}")


if __name__ == "__main__":
    run_script(main)
