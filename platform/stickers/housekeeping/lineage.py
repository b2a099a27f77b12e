"""What descends from what in a runs folder: its finished artifacts, and the inputs that their records name.

Records of trainings name their inputs. Older ones name only the content of their latent files; those are found by it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from stickers import storage
from stickers.training.job import KEPT_LATENTS, data_digest

TRAININGS = ("teachers", "students", "distilled")
#: folders of finished artifacts below a runs folder, in the order of a clip's path
KINDS = (
    "latents", "teachers", "prompts", "stickers", "plans", "selection", "choices", "kept", KEPT_LATENTS, "students",
    "distilled", "exported", "evaluation",
)  # fmt: skip
#: kinds whose folders hold latent files
WITH_SETS = ("latents", "kept", KEPT_LATENTS)
SET_SUFFIX = ".safetensors"


class Reference(NamedTuple):
    """An artifact by its kind and folder."""

    kind: str
    folder: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.folder}"


@dataclass(frozen=True)
class Lineage:
    """The finished artifacts of a runs folder."""

    runs: str
    artifacts: Mapping[Reference, storage.Artifact]

    @classmethod
    def of(cls, runs: str) -> "Lineage":
        """Read the record of every finished artifact. UserError: a record cannot be read."""
        artifacts = {
            Reference(kind, artifact.folder): artifact
            for kind in KINDS
            for artifact in storage.find_records(runs, kind)
        }
        return cls(runs, artifacts)

    @cached_property
    def current(self) -> set[Reference]:
        """The artifacts that stand for a project or for one of its trainings."""
        return {
            Reference(kind, folder) for kind in KINDS for folder in storage.currents(self.runs, kind).values()
        } & self.artifacts.keys()

    @cached_property
    def inputs(self) -> dict[Reference, set[Reference]]:
        """The artifacts that each one was made from, as far as they are still there."""
        return {
            reference: set(self._named(reference.kind, artifact.record)) & self.artifacts.keys()
            for reference, artifact in self.artifacts.items()
        }

    @cached_property
    def _products(self) -> dict[Reference, set[Reference]]:
        products: dict[Reference, set[Reference]] = {reference: set() for reference in self.artifacts}
        for product, inputs in self.inputs.items():
            for reference in inputs:
                products[reference].add(product)
        return products

    def needed_by(self, references: Iterable[Reference]) -> set[Reference]:
        """These artifacts and all that they were made from, directly or not."""
        return _reach(set(references) & self.artifacts.keys(), self.inputs)

    def made_from(self, references: Iterable[Reference]) -> set[Reference]:
        """These artifacts and all that was made from them, directly or not."""
        return _reach(set(references) & self.artifacts.keys(), self._products)

    def _named(self, kind: str, record: Mapping[str, Any]) -> Iterator[Reference]:
        """The artifacts that a record names, whether they are there or not."""
        if kind in TRAININGS:
            yield from self._data_of(record)
            if (start := training_of(str(record.get("foundation", "")))) is not None:
                yield start
        elif kind in NAMED:
            yield from NAMED[kind](record)

    def _data_of(self, record: Mapping[str, Any]) -> Iterator[Reference]:
        if "inputs" in record:
            yield from (Reference(*text.split("/", 1)) for text in record["inputs"])
        else:
            for digest in record.get("data", {}).values():
                yield from self._sets_by_content.get(digest, ())

    @cached_property
    def _sets_by_content(self) -> dict[str, set[Reference]]:
        """The artifacts that hold a latent file, by the content that older records of trainings name."""
        owners: dict[str, set[Reference]] = {}
        for reference, artifact in self.artifacts.items():
            for uri in set_files(artifact.uri) if reference.kind in WITH_SETS else ():
                owners.setdefault(data_digest(uri), set()).add(reference)
        return owners


def set_files(uri: str) -> list[str]:
    """The latent files directly in an artifact's folder."""
    return [file for file in storage.listing(uri) if file.endswith(SET_SUFFIX)]


def training_of(checkpoint: str) -> Reference | None:
    """The training whose checkpoint lies at a place, or none."""
    kind, folder, name = checkpoint.rsplit("/", 3)[-3:] if checkpoint.count("/") > 2 else ("", "", "")
    return Reference(kind, folder) if name == "checkpoint" and kind in TRAININGS else None


def _reach(start: set[Reference], steps: Mapping[Reference, set[Reference]]) -> set[Reference]:
    reached, todo = set(start), list(start)
    while todo:
        for reference in steps[todo.pop()] - reached:
            reached.add(reference)
            todo.append(reference)
    return reached


def _plan_inputs(record: Mapping[str, Any]) -> Iterator[Reference]:
    for teacher in record.get("teachers", {}).values():
        yield Reference("teachers", teacher["record"])
    for name in ("supersedes", "continues"):
        if record.get(name):
            yield Reference("plans", record[name])


def _chosen_inputs(record: Mapping[str, Any]) -> Iterator[Reference]:
    for teacher in record.get("teachers", {}).values():
        yield Reference("teachers", teacher["record"])
    yield Reference("selection", record.get("evidence", ""))
    yield Reference("plans", record.get("plan_id", ""))


def _evaluated(record: Mapping[str, Any]) -> Iterator[Reference]:
    for folder in record.get("systems", {}).values():
        yield from (Reference(kind, folder) for kind in TRAININGS)


#: how the records of each kind name their inputs
NAMED: dict[str, Callable[[Mapping[str, Any]], Iterable[Reference]]] = {
    "stickers": lambda record: [Reference("prompts", record.get("inputs", {}).get("prompts", ""))],
    "plans": _plan_inputs,
    "selection": _chosen_inputs,
    "choices": _chosen_inputs,
    "kept": lambda record: [Reference("plans", record.get("plan_id", ""))],
    KEPT_LATENTS: lambda record: [Reference("kept", record["kept"])],
    "exported": lambda record: [Reference(kind, record.get("trained", "")) for kind in TRAININGS],
    "evaluation": _evaluated,
}
