"""Which teachers a person has chosen, and on what evidence: what candidates.py obeys (paper section 3.2).

The paper's teachers are "downselected by human experts"; a program may suggest, but only a person's choice is recorded.
It names each teacher as it was then, so a teacher that has been trained again since is not drawn under an old choice.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.errors import UserError

KIND = "choices"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A teacher as it was: the folder of its finished training, and the digest of every weight it draws with."""

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

    def check(self, there: Mapping[str, Origin]) -> None:
        """Refuse when a chosen teacher is not among those `there`, or is no longer what was chosen.

        Raises:
            UserError: one sentence names the teacher and what has become of it.
        """
        mend = "choose again with experiments/select_teachers.py, or name --teachers"
        for name, chosen in self.teachers.items():
            if name not in there:
                finished = ", ".join(sorted(there)) or "none"
                raise UserError(
                    f"the choice by {self.by} for project {self.project!r} names teacher {name!r}, which is not "
                    f"finished; finished are: {finished}; {mend}"
                )
            if there[name] != chosen:
                raise UserError(
                    f"the choice by {self.by} for project {self.project!r} names teacher {name!r} as it was in "
                    f"{chosen.record} (checkpoint {chosen.checkpoint}); it is now {there[name].record} "
                    f"(checkpoint {there[name].checkpoint}); {mend}"
                )


def record_choice(runs: str, choice: Choice) -> storage.Artifact:
    """Write a choice, unless the same one is there, and let it stand for its project.

    Raises:
        UserError: nobody chose, for no reason, or no teacher is chosen.
    """
    for field in ("by", "because", "teachers"):
        if not getattr(choice, field):
            raise UserError(f"a choice needs {field!r}, which is empty")
    whole = {name: value for name, value in asdict(choice).items() if name != "made_at"}
    digest = content_id("choice", whole)[:12]
    uri = storage.join(runs, KIND, digest)
    if not storage.exists(storage.join(uri, storage.RECORD)):
        storage.write_record(uri, {"kind": "choice", "digest": digest, **whole})
    storage.set_current(runs, KIND, choice.project, digest)
    return storage.Artifact(uri, storage.read_record(uri))


def current_choice(runs: str, project: str) -> Choice | None:
    """The choice that stands for a project, or none."""
    found = storage.current(runs, KIND, project)
    return choice_of(found) if found else None


def choice_of(found: storage.Artifact) -> Choice:
    """A recorded choice read back."""
    record = found.record
    return Choice(
        project=record["project"],
        teachers={name: Origin(**origin) for name, origin in record["teachers"].items()},
        by=record["by"],
        because=record["because"],
        evidence=record["evidence"],
        simulated=record["simulated"],
        made_at=record["finished_at"],
    )
