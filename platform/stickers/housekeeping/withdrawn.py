"""What people have withdrawn, as stages obey it, and the marks on artifacts that learned from it.

A withdrawal is `<runs>/withdrawn/<id>/`: `request.json` says what is withdrawn and counts from the moment it is there;
`record.json`, as everywhere, says that everything is done. A mark is a file beside the record of an artifact.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import numpy as np

from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import Sticker, Vote
from stickers.errors import UserError
from stickers.prompts.sticker_tables import Stickers
from stickers.video.codec import decode_picture

Subject = Literal["video", "sticker", "votes"]
Policy = Literal["refuse", "warn"]
SUBJECTS: tuple[Subject, ...] = get_args(Subject)
KIND, REQUEST, MARK = "withdrawn", "request.json", "withdrawn.json"
#: characters of a content hash that name a folder
DIGEST_LENGTH = 12
#: which command makes an artifact of each kind again
MADE_AGAIN_BY = {
    "latents": "experiments/prepare.py",
    "teachers": "experiments/teachers.py",
    "plans": "experiments/candidates.py",
    "kept": "experiments/annotate.py keep",
    "students": "experiments/students.py",
    "distilled": "experiments/distil.py",
    "exported": "experiments/export.py",
    "evaluation": "experiments/evaluate.py",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What somebody withdraws.

    Of a video `contents` are hashes of files and `uris` their places; of a sticker `stickers` are ids and `pictures`
    hashes of pixels. Of votes `person` is a hash of the name, since the name itself is to be forgotten. `learned` are
    the artifacts, as `kind/folder`, whose weights or figures come from it.
    """

    subject: Subject
    reason: str = ""
    policy: Policy = "refuse"
    contents: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    stickers: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    person: str = ""
    learned: tuple[str, ...] = ()
    asked_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    @property
    def withdrawal_id(self) -> str:
        """A name that follows from what is withdrawn."""
        parts = sorted(self.contents), sorted(self.stickers), self.person
        return content_id("withdrawal", self.subject, *parts)[:DIGEST_LENGTH]

    def folder(self, runs: str) -> str:
        """Where the withdrawal lies."""
        return storage.join(runs, KIND, self.withdrawal_id)

    def begin(self, runs: str) -> "Request":
        """Write the request, from when on stages obey it."""
        request = self.resumed(runs)
        storage.write_json(storage.join(self.folder(runs), REQUEST), asdict(request))
        return request

    def resumed(self, runs: str) -> "Request":
        """The request with what an interrupted withdrawal of the same thing had found, which may be gone by now."""
        uri = storage.join(self.folder(runs), REQUEST)
        if not storage.exists(uri):
            return self
        before = _request_of(storage.read_json(uri))
        return replace(
            self,
            learned=tuple(dict.fromkeys((*before.learned, *self.learned))),
            uris=tuple(dict.fromkeys((*before.uris, *self.uris))),
            pictures=tuple(dict.fromkeys((*before.pictures, *self.pictures))),
            asked_at=before.asked_at,
        )


def requests_in(runs: str) -> list[Request]:
    """Everything that was withdrawn from a runs folder, and what is being withdrawn."""
    files = [storage.join(folder, REQUEST) for folder in storage.listing(storage.join(runs, KIND))]
    return [_request_of(storage.read_json(file)) for file in files if storage.exists(file)]


def _request_of(value: dict[str, Any]) -> Request:
    entries: dict[str, Any] = {
        name: tuple(entry) if isinstance(entry, list) else entry for name, entry in value.items()
    }
    return Request(**entries)


@dataclass(frozen=True, kw_only=True)
class Withdrawn:
    """What the stages of a runs folder must not use."""

    contents: frozenset[str] = frozenset()
    uris: frozenset[str] = frozenset()
    stickers: frozenset[str] = frozenset()
    pictures: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()

    @classmethod
    def of(cls, runs: str) -> "Withdrawn":
        """What was withdrawn from a runs folder."""
        requests = requests_in(runs)

        def union(name: str) -> frozenset[str]:
            return frozenset(value for request in requests for value in getattr(request, name))

        return cls(
            contents=union("contents"),
            uris=union("uris"),
            stickers=union("stickers"),
            pictures=union("pictures"),
            people=frozenset(request.person for request in requests if request.person),
        )

    def holds(self, sticker: Sticker) -> bool:
        """Whether a sticker was withdrawn, under its id or as the same picture under another."""
        if sticker.sticker_id in self.stickers:
            return True
        return bool(self.pictures) and picture_digest(sticker.png) in self.pictures

    def without(self, sources: Stickers) -> Stickers:
        """Stickers and prompts without those that were withdrawn, and prompts that lose their last picture.

        Raises:
            UserError: none is left.
        """
        if not (self.stickers or self.pictures):
            return sources
        stickers = [sticker for sticker in sources.stickers if not self.holds(sticker)]
        if not stickers:
            raise UserError("every sticker was withdrawn; nothing is left to animate")
        gone = {row.prompt_id for row in sources.stickers} - {row.prompt_id for row in stickers}
        prompts = [prompt for prompt in sources.prompts if prompt.prompt_id not in gone]
        return Stickers(prompts, stickers, sources.refused)


def picture_digest(png: bytes) -> str:
    """Identity of a picture's pixels, whatever the file's compression; of one that cannot be read, of its bytes."""
    try:
        return pixels_digest(decode_picture(png))
    except UserError:
        return content_id("unreadable picture", png)


def pixels_digest(pixels_HWC: np.ndarray) -> str:
    """Identity of pixels, uint8 RGBA."""
    return content_id("picture", list(pixels_HWC.shape), pixels_HWC.tobytes())


def person_digest(name: str) -> str:
    """What stands for a person who has withdrawn."""
    return content_id("withdrawn person", name)[:DIGEST_LENGTH]


def without_people(votes: Sequence[Vote], withdrawn: Collection[str]) -> tuple[list[Vote], int]:
    """Votes without those of people who have withdrawn theirs, and how many those are."""
    names = {vote.annotator for vote in votes} if withdrawn else set()
    gone = {name for name in names if person_digest(name) in withdrawn}
    rest = [vote for vote in votes if vote.annotator not in gone]
    return rest, len(votes) - len(rest)


def mark(artifact: str, kind: str, request: Request, *, touched: bool) -> None:
    """Mark an artifact: parts of it were removed (`touched`), or it only learned from what was withdrawn."""
    policy: Policy = "refuse" if touched else request.policy
    before = storage.join(artifact, MARK)
    if storage.exists(before) and storage.read_json(before)["policy"] == "refuse":
        policy = "refuse"
    value = {
        "withdrawal": request.withdrawal_id,
        "subject": request.subject,
        "touched": touched,
        "policy": policy,
        "kind": kind,
        "at": request.asked_at,
    }
    storage.write_json(before, value)


def lift(artifact: str) -> bool:
    """Take a mark off: the same recipe on what is left makes the very same artifact. False where there was none."""
    mark_uri = storage.join(artifact, MARK)
    is_marked = storage.exists(mark_uri)
    if is_marked:
        storage.remove(mark_uri)
    return is_marked


def sentence_of(artifact: str) -> tuple[str, Policy]:
    """What the mark of an artifact says, in a sentence, and what it asks of commands; an empty one where there is no
    mark."""
    mark_uri = storage.join(artifact, MARK)
    if not storage.exists(mark_uri):
        return "", "warn"
    note = storage.read_json(mark_uri)
    verb = "lost parts to" if note["touched"] else "learned from"
    things = {"video": "a video that was", "sticker": "a sticker that was", "votes": "votes that were"}
    sentence = (
        f"{artifact} {verb} {things[note['subject']]} withdrawn on {note['at'][:10]} (withdrawal "
        f"{note['withdrawal']}); {MADE_AGAIN_BY[note['kind']]} makes it again without"
    )
    return sentence, note["policy"]


def warning_of(artifact: str) -> str:
    """One sentence where an artifact is marked, else nothing.

    Raises:
        UserError: it must not be used; the sentence says how to make it again.
    """
    sentence, policy = sentence_of(artifact)
    if sentence and policy == "refuse":
        raise UserError(sentence)
    return sentence
