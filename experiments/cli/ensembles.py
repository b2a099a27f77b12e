"""Which teachers take part in a plan, with which encoders, and what decides their pixels."""

from collections.abc import Mapping
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from experiments.cli.options import absolute, current_training, encoder_digests
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.candidates.plan import PlannedTeacher
from stickers.diffusion.sampling import SamplerSettings
from stickers.errors import UserError
from stickers.evaluation.choice import Origin, current_choice
from stickers.project import Project

console = Console()


def find_teachers(runs: str, project: Project, names: tuple[str, ...]) -> dict[str, storage.Artifact]:
    """The project's teachers, or those of the given names: the project's own, or where it has none of that name the
    newest, which may draw at a size of its own."""
    every = storage.find_records(runs, "teachers")
    wanted = names or tuple(recipe.name for recipe in project.teachers)
    ours = {name: current_training(runs, "teachers", project, name) for name in wanted}
    newest = {each.record["name"]: each for each in every if each.record["name"] in names}
    found = newest | {name: each for name, each in ours.items() if each}
    missing = [name for name in wanted if name not in found]
    if (names and missing) or not found:
        there = ", ".join(sorted({each.record["name"] for each in every})) or "none"
        raise UserError(
            f"project {project.name!r} has no finished teacher {missing[0]} in {storage.join(runs, 'teachers')}; "
            f"finished are: {there} (experiments/teachers.py trains them)"
        )
    for name in missing:
        console.print(f"[yellow]teacher {name} is not finished and takes no part")
    return found


def planned(name: str, found: storage.Artifact, foundations: str) -> PlannedTeacher:
    """A teacher's name, the digest of every weight it animates with, and its sampler settings."""
    encoders = encoder_digests(foundations)
    checkpoint = content_id("checkpoint", found.record["weights"], *encoders, found.record["prediction"])[:12]
    return PlannedTeacher(name, checkpoint, asdict(SamplerSettings.of(found.record["settings"], found.uri)))


def encoders_of(
    teachers: Mapping[str, storage.Artifact], foundations: str, own: Mapping[str, str]
) -> dict[str, str]:
    """The folder of each teacher's encoders: its own, or the foundations of all others.

    Raises:
        UserError: a folder is given for a teacher that takes no part.
    """
    found = {name: row.record.get("own_encoders") or foundations for name, row in teachers.items()}
    unknown = sorted(own.keys() - found.keys())
    if unknown:
        raise UserError(f"--encoders names {unknown[0]}, which takes no part; teachers: {', '.join(found)}")
    return found | {name: absolute(folder) for name, folder in own.items()}


def origins(checkpoints: Mapping[str, str], found: Mapping[str, storage.Artifact]) -> dict[str, Origin]:
    """Each teacher of `checkpoints` (name to digest) as it is now."""
    return {
        name: Origin(record=found[name].folder, checkpoint=digest) for name, digest in checkpoints.items()
    }


def obey_choice(
    runs: str,
    project: Project,
    ensemble: list[PlannedTeacher],
    found: Mapping[str, storage.Artifact],
    names: tuple[str, ...],
) -> list[PlannedTeacher]:
    """The teachers that a person has chosen for the project; all when none are, or when `names` came with the command.

    Raises:
        UserError: a chosen teacher is not finished, or is no longer what was chosen.
    """
    choice = current_choice(runs, project.name)
    if choice is None:
        return ensemble
    if names:
        console.print(f"[yellow]set aside, because --teachers names them:[/] {escape(choice.sentence)}")
        return ensemble
    choice.check(origins({each.name: each.checkpoint for each in ensemble}, found))
    mark = " [yellow]on simulated evidence[/]" if choice.simulated else ""
    console.print(
        f"{len(choice.teachers)} of {len(ensemble)} teachers{mark}: {escape(choice.sentence)}",
        highlight=False,
        soft_wrap=True,
    )
    return [each for each in ensemble if each.name in choice.teachers]
