"""What the scripts share: how they start, the foundations, and the results of the stage before."""

import errno
import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import tyro
from ray.exceptions import RayTaskError
from rich.markup import escape
from sqlalchemy.exc import OperationalError

from actors.screen import console
from experiments.cli.logs import keeping_log, log_error
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.housekeeping.withdrawn import warning_of
from stickers.project import Project
from stickers.training.job import training_name

RUNS = os.environ.get("STICKERS_RUNS", "runs")
MAKERS = {
    "latents": "prepare.py",
    "plans": "candidates.py",
    "kept": "annotate.py keep",
    "evaluation": "evaluate.py",
}
Runs = Annotated[str, tyro.conf.arg(help="where results go: a folder or URI")]
#: errors of the disk that a person can solve
MENDABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def run_script(main: Callable[..., int | None]) -> None:
    """Run `main` from the command line; what libraries print goes to a log (see `experiments.cli.logs`).

    A problem that a person can solve (a wrong value, a full or unwritable disk) ends in one sentence and exit code 1.
    Everything else is a bug of ours and keeps its traceback.
    """
    try:
        raise SystemExit(tyro.cli(_logged(main)))
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on", file=sys.stderr, flush=True)
        os._exit(130)  # at once, Ray and its threads included: a private cluster ends with its driver
    except Exception as error:
        sentence = _mendable(error)
        if not sentence:
            raise
        raise SystemExit(f"error: {sentence}") from None


def _logged(main: Callable[..., int | None]) -> Callable[..., int | None]:
    """`main`, to be called from the command line, with a log."""

    @wraps(main)
    def logged(*args: Any, **values: Any) -> int | None:
        with keeping_log(Path(sys.argv[0]).stem, _runs_of([*args, *values.items()])):
            try:
                return main(*args, **values)
            except Exception as error:
                log_error(_mendable(error))
                raise

    return logged


def _runs_of(arguments: Iterable[Any]) -> str | None:
    """The runs folder among the arguments of a command, or in one that holds several; none if it has none."""
    for argument in arguments:
        name, value = argument if isinstance(argument, tuple) else ("", argument)
        runs = value if name == "runs" else getattr(value, "runs", None)
        if isinstance(runs, str):
            return runs
    return None


def _mendable(error: BaseException | None) -> str:
    """One sentence about a problem that a person can solve, here, in a Ray task or in MLflow's store; else nothing."""
    error = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(error, UserError):
        return str(error)
    while error:
        if isinstance(error, OSError) and error.errno in MENDABLE:
            return f"{os.strerror(error.errno)}: {error.filename or 'the runs folder'}"
        if isinstance(error, OperationalError) and "disk is full" in str(error):
            return f"{error.orig}, in the runs folder"
        error = error.__cause__
    return ""


def confirm(question: str) -> bool:
    """Whether the person at the terminal says yes. UserError: nobody is there to ask."""
    if not sys.stdin.isatty():
        raise UserError(f"{question} Nobody is at the terminal to say so; give --yes")
    # not as the prompt of `input`, which goes where a log takes it
    console.print(f"{escape(question)} y or n?", highlight=False, soft_wrap=True)
    return input().strip().lower() in ("y", "yes")


def encoder_digests(foundations: str) -> list[str]:
    """Content hashes of autoencoder, text encoder and tokenizer."""
    parts = ("autoencoder", "text_encoder", "tokenizer")
    return [weights_digest(storage.local_folder(storage.join(foundations, part))) for part in parts]


def current(runs: str, kind: str, project: Project) -> storage.Artifact:
    """A project's last result of that kind, made or found finished. UserError: there is none, or as `usable`."""
    artifact = storage.current(runs, kind, project.name)
    if not artifact:
        raise UserError(
            f"{storage.join(runs, kind)} holds nothing of project {project.name!r}; "
            f"run experiments/{MAKERS[kind]} first"
        )
    return usable(artifact)


def usable(artifact: storage.Artifact) -> storage.Artifact:
    """The artifact. One that is marked as withdrawn is named in a sentence, or refused.

    Raises:
        UserError: what it was made from was withdrawn.
    """
    if warning := warning_of(artifact.uri):
        console.print(f"[yellow]{escape(warning)}[/]", highlight=False, soft_wrap=True)
    return artifact


def latents_name(project: Project, encoders: str) -> str:
    """The name under which the latents by the encoders of a folder are current: the project's for those of its own."""
    if encoders == project.foundation.place:
        return project.name
    digests = encoder_digests(encoders)
    if digests == encoder_digests(project.foundation.place):
        return project.name
    return f"{project.name}-{content_id('encoders', *digests)}"


def current_latents(runs: str, project: Project, encoders: str) -> storage.Artifact:
    """What `prepare.py` made last for a project by the encoders of a folder. UserError: it made nothing by those."""
    current(runs, "latents", project)  # the plainer sentence, where there is nothing at all
    artifact = storage.current(runs, "latents", latents_name(project, encoders))
    if artifact is None:
        raise UserError(
            f"{storage.join(runs, 'latents')} holds none of project {project.name!r} by the encoders in {encoders}; "
            "run experiments/prepare.py again"
        )
    return artifact


def current_training(runs: str, kind: str, project: Project, name: str) -> storage.Artifact | None:
    """A project's last training of that name, whether finished or found finished; None where there is none. UserError
    as `usable`."""
    artifact = storage.current(runs, kind, training_name(project.name, name))
    return usable(artifact) if artifact else None
