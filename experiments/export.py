"""The distilled student becomes what is served, one folder under a registered name: `python experiments/export.py`."""

from pathlib import Path
from tempfile import TemporaryDirectory

from actors.screen import console
from actors.tracking import CHAMPION, STUDENT, Tracking
from experiments.cli.options import RUNS, Runs, current_training, encoder_digests, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from experiments.cli.training import NO_CHANGES, choose
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.licences import LICENCES, in_words
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.export import MODEL_CARD, assemble, model_card
from stickers.housekeeping.withdrawn import lift


def main(
    runs: Runs = RUNS,
    project: ProjectName = None,
    only: str | None = None,
    alias: str = CHAMPION,
    foundations: str | None = None,
) -> None:
    """Export a project's distilled student and register it.

    Args:
        only: the name of one of the project's distillations; by default the first.
        alias: the registry alias that serving follows.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the project's.
    """
    chosen, runs_uri = choose_project(project, foundations), storage.resolve_runs(runs)
    (recipe,) = choose(chosen.distillations, only or chosen.distillations[0].name, NO_CHANGES)
    training = current_training(runs_uri, "distilled", chosen, recipe.name)
    if training is None:
        raise UserError(
            f"{runs_uri} holds no distilled student {recipe.name!r} of project {chosen.name!r}; "
            "run experiments/distil.py first"
        )
    base = training.record.get("own_encoders") or chosen.foundation.place
    folder = Path(storage.local_folder(training.uri))
    digests = [weights_digest(folder / "checkpoint"), *encoder_digests(base)]
    name = f"{training.record['name']}-{training.record['recipe_digest']}-{content_id('exported', *digests)[:12]}"
    target = storage.join(runs_uri, "exported", name)
    if not storage.exists(storage.join(target, storage.RECORD)):
        with TemporaryDirectory() as local:
            assemble(folder, base).save(local)
            storage.upload_folder(local, target)
        origin = {
            "trained": training.folder,
            "simulated": training.record["simulated"],
            LICENCES: training.record.get(LICENCES) or {"foundation": chosen.foundation.licence},
        }
        card = model_card(chosen.name, training.record, origin)
        storage.write_bytes(storage.join(target, MODEL_CARD), card.encode())
        storage.write_record(target, {"project": chosen.name, "digests": digests, **origin})
    lift(target)  # the student that it holds is the same without what was withdrawn
    tracking = Tracking.open(runs_uri)
    version = tracking.register(target, training.record["mlflow_run"], alias=alias)
    stated = storage.read_record(target).get(LICENCES, {})
    tracking.tag_version((STUDENT, version), LICENCES, in_words(stated))
    console.print(f"exported to {target}", soft_wrap=True, highlight=False)
    console.print(f"registered as models:/{STUDENT}@{alias}, version {version}")


if __name__ == "__main__":
    run_script(main)
