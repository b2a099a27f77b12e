"""What the annotation service takes and returns as JSON: the bodies of requests, and a job as its person sees it."""

from typing import Annotated, Any, Literal

from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from stickers.annotation.store import people, seats
from stickers.annotation.store.people import Person
from stickers.annotation.store.seats import Lease

REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"description": "What was sent cannot be used"},
    401: {"description": "Nobody is signed in"},
    403: {"description": "Not for this role, or from another page than ours"},
    404: {"description": "It does not exist, or it is not yours"},
    409: {"description": "It contradicts a stored answer, or comes too late"},
    413: {"description": "The request is too large"},
    422: {"description": "A field is missing or has the wrong form"},
    429: {"description": "Too many requests; try again after Retry-After seconds"},
}

Id = Annotated[str, Field(pattern="^[0-9a-z]{1,26}$")]
#: PostgreSQL stores no text with a NUL in it
TEXT = r"^[^\x00]*$"
Name = Annotated[str, Field(min_length=1, max_length=people.LONGEST_NAME, pattern=TEXT)]
Words = Annotated[str, Field(min_length=1, max_length=seats.LONGEST_REASON, pattern=TEXT)]
JobId = Annotated[str, InPath(pattern="^[0-9a-z]{1,26}$")]
PersonName = Annotated[str, InPath(min_length=1, max_length=people.LONGEST_NAME, pattern=TEXT)]


class Body(BaseModel):
    """A request's body; fields that it does not name are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SignIn(Body):
    """The token of a link, or a name and a password."""

    token: Annotated[str, Field(max_length=200)] = ""
    name: Annotated[str, Field(max_length=people.LONGEST_NAME, pattern=TEXT)] = ""
    password: Annotated[str, Field(max_length=people.LONGEST_PASSWORD)] = ""


class HeldJobs(Body):
    """`have` are the ids of the jobs that the page already shows."""

    have: Annotated[list[Id], Field(max_length=20)] = []


class AnswerBody(HeldJobs):
    """An answer to a job."""

    picks: Annotated[list[Id], Field(max_length=100)]
    flags: Annotated[dict[Id, Literal["unsafe", "broken"]], Field(max_length=100)] = {}
    revision: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    seconds: Annotated[float, Field(ge=0, le=1e6, strict=False)] = 0.0


class SkipBody(HeldJobs):
    """Why a job is given back."""

    reason: Words


class NewPerson(Body):
    """A person to add."""

    name: Name
    role: Literal["annotator", "expert", "lead"]
    password: Annotated[
        str | None, Field(min_length=people.SHORTEST_PASSWORD, max_length=people.LONGEST_PASSWORD)
    ] = None


class Active(Body):
    """Whether a person may sign in."""

    active: bool


class Retired(Body):
    """Whether a person's votes stop counting, and why."""

    retired: bool
    reason: Words


class Paused(Body):
    """Whether nobody gets new jobs."""

    paused: bool


class NewSettings(BaseModel):
    """Settings to change; those left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    rounds: Annotated[list[dict[str, str | int]] | None, Field(max_length=5)] = None
    clips_per_job: int | None = None
    policy: Annotated[str | None, Field(max_length=20)] = None
    gold_rate: float | None = None
    lease_seconds: float | None = None
    ordering: Annotated[str | None, Field(max_length=20)] = None
    audit_share: float | None = None
    paused: bool | None = None


def shown(lease: Lease, person: Person, seconds: float) -> dict[str, Any]:
    """A job as its person sees it: the clips in this person's order, without a hint of who made them."""
    job, answer = lease.job, lease.answer
    return {
        "job_id": job.job_id,
        "clips": [
            {
                "id": job.candidates[index],
                "url": f"/clips/{job.digests[index]}.webp",
                "frames": job.frames[index],
                "fps": job.fps[index],
                "prompt": job.prompts[index],
            }
            for index in job.order_for(person.name)
        ],
        "revision": lease.revision,
        "answer": {"picks": answer.picks, "flags": dict(zip(answer.flagged, answer.flags, strict=True))}
        if answer
        else None,
        "lease_seconds": seconds,
    }
