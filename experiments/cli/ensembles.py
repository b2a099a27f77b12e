"""Which teachers take part in a plan, with which encoders, weights and sampler settings."""

from collections.abc import Mapping
from dataclasses import asdict

from rich.markup import escape

from actors.screen import console
from experiments.cli.options import current_training, encoder_digests, usable
from experiments.cli.project_choice import absolute
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.candidates.plan import PlannedTeacher
from stickers.diffusion.sampling import SamplerSettings
from stickers.errors import UserError
from stickers.evaluation.choice import Origin, current_choice
from stickers.project import Project


def find_teachers(runs: str, project: Project, names: tuple[str, ...]) -> dict[str, storage.Artifact]:
    """Finished trainings by teacher.

    Without `names`, those of the project's recipes; one that is not finished takes no part. A name that the project
    has no training of means the newest training of that name in these runs, which may draw at another size.

    Raises:
        UserError: a named teacher, or every teacher, is not finished, or one learned from what was withdrawn.
    """
    finished = storage.find_records(runs, "teachers")
    asked_names = names or tuple(recipe.name for recipe in project.teachers)
    ours = {name: current_training(runs, "teachers", project, name) for name in asked_names}
    teachers = {name: training for name, training in ours.items() if training}
    elsewhere = set(names) - teachers.keys()
    newest = {row.record["name"]: row for row in finished if row.record["name"] in elsewhere}
    teachers |= {name: usable(training) for name, training in newest.items()}
    missing = [name for name in asked_names if name not in teachers]
    if (names and missing) or not teachers:
        finished_names = ", ".join(sorted({training.record["name"] for training in finished})) or "none"
        raise UserError(
            f"project {project.name!r} has no finished teacher {missing[0]} in {storage.join(runs, 'teachers')}; "
            f"finished are: {finished_names} (experiments/teachers.py trains them)"
        )
    for name in missing:
        console.print(f"[yellow]teacher {name} is not finished and takes no part")
    return teachers


def planned(name: str, training: storage.Artifact, foundations: str) -> PlannedTeacher:
    """A teacher's name, the digest of every weight it animates with, and its sampler settings."""
    encoders = encoder_digests(foundations)
    checkpoint = content_id(
        "checkpoint", training.record["weights"], *encoders, training.record["prediction"]
    )[:12]
    return PlannedTeacher(
        name, checkpoint, asdict(SamplerSettings.of(training.record["settings"], training.uri))
    )


def encoders_of(
    teachers: Mapping[str, storage.Artifact], foundations: str, own_encoders: Mapping[str, str]
) -> dict[str, str]:
    """The folder of each teacher's encoders: its own, or else `foundations`.

    Raises:
        UserError: `own_encoders` names a teacher that takes no part.
    """
    encoders = {name: row.record.get("own_encoders") or foundations for name, row in teachers.items()}
    unknown = sorted(own_encoders.keys() - encoders.keys())
    if unknown:
        raise UserError(
            f"--encoders names {unknown[0]}, which takes no part; teachers: {', '.join(encoders)}"
        )
    return encoders | {name: absolute(folder) for name, folder in own_encoders.items()}


def origins(checkpoints: Mapping[str, str], trainings: Mapping[str, storage.Artifact]) -> dict[str, Origin]:
    """The record and checkpoint of each teacher of `checkpoints` (name to digest)."""
    return {
        name: Origin(record=trainings[name].folder, checkpoint=digest) for name, digest in checkpoints.items()
    }


def obey_choice(
    runs: str,
    project: Project,
    ensemble: list[PlannedTeacher],
    trainings: Mapping[str, storage.Artifact],
    names: tuple[str, ...],
) -> list[PlannedTeacher]:
    """The teachers that a person has chosen for the project; all when nobody has, or when --teachers gave `names`.

    Raises:
        UserError: a chosen teacher is not finished, or has changed since it was chosen.
    """
    choice = current_choice(runs, project.name)
    if choice is None:
        return ensemble
    if names:
        console.print(f"[yellow]set aside, because --teachers names them:[/] {escape(choice.sentence)}")
        return ensemble
    choice.check(origins({teacher.name: teacher.checkpoint for teacher in ensemble}, trainings))
    mark = " [yellow]on simulated evidence[/]" if choice.simulated else ""
    console.print(
        f"{len(choice.teachers)} of {len(ensemble)} teachers{mark}: {escape(choice.sentence)}",
        highlight=False,
        soft_wrap=True,
    )
    return [teacher for teacher in ensemble if teacher.name in choice.teachers]
