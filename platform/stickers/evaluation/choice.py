"""A person's recorded choice of teachers, with its evidence; candidates.py follows it (paper section 3.2).

The paper's teachers are "downselected by human experts". A program may suggest teachers, but only a person's choice is
recorded. It names each teacher with its checkpoint, so it does not cover a teacher that was trained again later.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.errors import UserError

KIND = "choices"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A teacher at the time of the choice: the folder of its finished training, and the digest of its weights."""

    record: str
    checkpoint: str


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A person's choice among a project's teachers.

    `by` and `because` are the person's words, `evidence` names the folder below `selection` that they looked at,
    `simulated` says whether simulated people or a simulated world's truth had a part in it.
    """

    project: str
    teachers: Mapping[str, Origin]
    by: str
    because: str
    evidence: str
    simulated: bool
    made_at: str = ""

    @property
    def sentence(self) -> str:
        """The choice in a few words, for tables and pages."""
        when = f" on {self.made_at[:10]}" if self.made_at else ""
        return f"{self.by} chose {', '.join(self.teachers)}{when}: {self.because}"

    def check(self, current: Mapping[str, Origin]) -> None:
        """Refuse a choice that does not match the `current` teachers.

        Raises:
            UserError: a chosen teacher is missing, or has other weights than the chosen one.
        """
        mend = "choose again with experiments/select_teachers.py, or name --teachers"
        for name, chosen in self.teachers.items():
            if name not in current:
                finished = ", ".join(sorted(current)) or "none"
                raise UserError(
                    f"the choice by {self.by} for project {self.project!r} names teacher {name!r}, which is not "
                    f"finished; finished are: {finished}; {mend}"
                )
            if current[name] != chosen:
                raise UserError(
                    f"the choice by {self.by} for project {self.project!r} names teacher {name!r} as it was in "
                    f"{chosen.record} (checkpoint {chosen.checkpoint}); it is now {current[name].record} "
                    f"(checkpoint {current[name].checkpoint}); {mend}"
                )


def record_choice(runs: str, choice: Choice) -> storage.Artifact:
    """Write a choice, unless the same one exists, and make it the current choice of its project.

    Raises:
        UserError: nobody chose, for no reason, or no teacher is chosen.
    """
    for field in ("by", "because", "teachers"):
        if not getattr(choice, field):
            raise UserError(f"a choice needs {field!r}, which is empty")
    fields = {name: value for name, value in asdict(choice).items() if name != "made_at"}
    digest = content_id("choice", fields)[:12]
    uri = storage.join(runs, KIND, digest)
    if not storage.exists(storage.join(uri, storage.RECORD)):
        storage.write_record(uri, {"kind": "choice", "digest": digest, **fields})
    storage.set_current(runs, KIND, choice.project, digest)
    return storage.Artifact(uri, storage.read_record(uri))


def current_choice(runs: str, project: str) -> Choice | None:
    """The current choice of a project, or None."""
    artifact = storage.current(runs, KIND, project)
    return choice_of(artifact) if artifact else None


def choice_of(artifact: storage.Artifact) -> Choice:
    """The choice in a record."""
    record = artifact.record
    return Choice(
        project=record["project"],
        teachers={name: Origin(**origin) for name, origin in record["teachers"].items()},
        by=record["by"],
        because=record["because"],
        evidence=record["evidence"],
        simulated=record["simulated"],
        made_at=record["finished_at"],
    )
