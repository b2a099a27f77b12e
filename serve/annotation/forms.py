"""What goes to and fro between pages and the annotation service: forms of requests, and a job as its person sees it."""

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
    404: {"description": "There is no such thing, or it is not yours"},
    409: {"description": "It contradicts what is there, or comes too late"},
    413: {"description": "The request is too large"},
    422: {"description": "A field is missing or has the wrong form"},
    429: {"description": "Too often; try again after Retry-After seconds"},
}

Id = Annotated[str, Field(pattern="^[0-9a-z]{1,26}$")]
#: PostgreSQL keeps no text with a NUL in it
TEXT = r"^[^\x00]*$"
Name = Annotated[str, Field(min_length=1, max_length=people.LONGEST_NAME, pattern=TEXT)]
Words = Annotated[str, Field(min_length=1, max_length=seats.LONGEST_REASON, pattern=TEXT)]
JobId = Annotated[str, InPath(pattern="^[0-9a-z]{1,26}$")]
PersonName = Annotated[str, InPath(min_length=1, max_length=people.LONGEST_NAME, pattern=TEXT)]


class Body(BaseModel):
    """What is sent: nothing but what is named here."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SignIn(Body):
    token: Annotated[str, Field(max_length=200)] = ""
    name: Annotated[str, Field(max_length=people.LONGEST_NAME, pattern=TEXT)] = ""
    password: Annotated[str, Field(max_length=people.LONGEST_PASSWORD)] = ""


class Have(Body):
    have: Annotated[list[Id], Field(max_length=20)] = []


class Given(Have):
    picks: Annotated[list[Id], Field(max_length=100)]
    flags: Annotated[dict[Id, Literal["unsafe", "broken"]], Field(max_length=100)] = {}
    revision: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    seconds: Annotated[float, Field(ge=0, le=1e6, strict=False)] = 0.0


class Skipped(Have):
    reason: Words


class NewPerson(Body):
    name: Name
    role: Literal["annotator", "expert", "lead"]
    password: Annotated[
        str | None, Field(min_length=people.SHORTEST_PASSWORD, max_length=people.LONGEST_PASSWORD)
    ] = None


class Active(Body):
    active: bool


class Retired(Body):
    retired: bool
    reason: Words


class Paused(Body):
    paused: bool


class NewSettings(BaseModel):
    """Any of the settings; those left out stay."""

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
    """A job as its person sees it: the clips in an order of their own, and nothing of who made them."""
    job, said = lease.job, lease.answer
    return {
        "job_id": job.job_id,
        "clips": [
            {
                "id": job.candidates[place],
                "url": f"/clips/{job.digests[place]}.webp",
                "frames": job.frames[place],
                "fps": job.fps[place],
                "prompt": job.prompts[place],
            }
            for place in job.order_for(person.name)
        ],
        "revision": lease.revision,
        "answer": {"picks": said.picks, "flags": dict(zip(said.flagged, said.flags, strict=True))}
        if said
        else None,
        "lease_seconds": seconds,
    }
