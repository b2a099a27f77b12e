"""The annotation service as a web application, and as a Ray Serve replica."""

from dataclasses import dataclass, field

from fastapi import FastAPI

from serve.annotation.engine import Annotation, Limits
from serve.annotation.http import build_annotation
from stickers.annotation.store.votes import VoteStore


@dataclass(frozen=True, kw_only=True)
class AnnotationOptions:
    """Where the votes are, and whom the service answers.

    `votes` is the SQLAlchemy URL of the vote store, `hosts` are host names beside the loopback's, and `secure` sends
    cookies over HTTPS only.
    """

    votes: str
    hosts: tuple[str, ...] = ()
    secure: bool = False
    limits: Limits = field(default_factory=Limits)


def open_annotation(options: AnnotationOptions) -> FastAPI:
    """The web application on a vote store. UserError: the store cannot be opened."""
    return build_annotation(
        Annotation(VoteStore(options.votes)),
        hosts=options.hosts,
        secure=options.secure,
        limits=options.limits,
    )


class AnnotationDeployment:
    """A replica on Ray Serve; it opens the vote store in its own process."""

    def __init__(self, options: AnnotationOptions) -> None:
        self.options = options

    def __serve_build_asgi_app__(self) -> FastAPI:
        return open_annotation(self.options)
