"""Deployments become Ray Serve applications here, with the only calls of `.bind()`."""

import logging
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve import Application
from ray.serve.config import BackpressureConfig, HTTPOptions

from actors.tracking import CHAMPION, STUDENT, resolve
from serve.annotation.deployment import AnnotationDeployment, AnnotationOptions
from serve.standalone import HOST, check_port
from serve.student.deployment import MAX_BATCH, StudentDeployment
from stickers import storage
from stickers.errors import UserError
from stickers.housekeeping.withdrawn import sentence_of
from stickers.pipeline import CONFIG

logger = logging.getLogger(__name__)
PORT = 8000
#: a student that is slower is overloaded
TIMEOUT_SECONDS = 120
#: eight batches wait at most; more would wait for longer than people do
MOST_QUEUED = 64
UNAVAILABLE = 503
#: requests of the annotation service at a time: mostly they wait for the database
ANNOTATION_REQUESTS = 200


class StudentOptions(BaseModel):
    """The `args` of an application in a Serve configuration file that `build_student` builds."""

    model_config = ConfigDict(extra="forbid")

    model: str = f"models:/{STUDENT}@{CHAMPION}"
    """name of a registered model, or an exported folder or its URI"""
    runs: str = ""
    """runs folder in whose MLflow store the name is looked up, unless MLFLOW_TRACKING_URI is set"""
    device: str = "cpu"


def build_student(options: StudentOptions) -> Application:
    """The student as a Serve configuration names it: `import_path: serve.apps:build_student`."""
    return student_app(find_model(options.model, options.runs), device=options.device)


class ChoosingOptions(BaseModel):
    """The `args` of an application in a Serve configuration file that `build_choosing` builds."""

    model_config = ConfigDict(extra="forbid")

    votes: str = ""
    """SQLAlchemy URL of the vote store, PostgreSQL for several replicas; by default that in STICKERS_VOTES, since
    it may hold a password"""
    hosts: list[str] = []
    """host names under which people reach it"""
    secure: bool = True
    """cookies are sent over HTTPS only"""
    replicas: int = 1


def build_choosing(options: ChoosingOptions) -> Application:
    """The annotation service as a Serve configuration names it: `import_path: serve.apps:build_choosing`.

    Raises:
        UserError: there is no URL, or several replicas would share a SQLite file.
    """
    votes = options.votes or os.environ.get("STICKERS_VOTES", "")
    if not votes:
        raise UserError("the URL of the vote store is missing; give it as votes or in STICKERS_VOTES")
    if options.replicas > 1 and votes.startswith("sqlite"):
        raise UserError("several replicas need a PostgreSQL; SQLite serves one")
    annotation = AnnotationOptions(votes=votes, hosts=tuple(options.hosts), secure=options.secure)
    deployment = serve.deployment(
        serve.ingress()(AnnotationDeployment),
        name="annotation",
        num_replicas=options.replicas,
        max_ongoing_requests=ANNOTATION_REQUESTS,
        ray_actor_options={"num_cpus": 1},
    )
    return deployment.bind(annotation)


def find_model(model: str, runs: str) -> str:
    """The exported folder, as a path or URI, of a registered name such as models:/name@alias, or of a path or URI.

    One that learned from what was withdrawn is served with a warning.

    Raises:
        UserError: it is no exported model.
    """
    folder = resolve(model, runs) if model.startswith("models:/") else model
    if "://" not in folder:
        folder = str(Path(folder).expanduser().resolve())
    if not storage.exists(storage.join(folder, CONFIG)):
        raise UserError(
            f"{folder} is no exported model: {CONFIG} is missing (experiments/export.py writes one)"
        )
    sentence, _ = sentence_of(folder)
    if sentence:  # people depend on what is served, so a person takes it down
        logger.warning("%s", sentence)
    return folder


def student_app(folder: str, *, device: str = "cpu") -> Application:
    """The student in a folder or at a URI, behind HTTP; with `device` "cuda" each replica takes one GPU."""
    deployment = serve.deployment(
        serve.ingress()(StudentDeployment),
        name="student",
        ray_actor_options={"num_cpus": 1, "num_gpus": 1 if device.startswith("cuda") else 0},
        # twice the batch: while one batch runs, the next is decoded and the last encoded
        max_ongoing_requests=2 * MAX_BATCH,
        max_queued_requests=MOST_QUEUED,
        backpressure_config=BackpressureConfig(status_code=UNAVAILABLE, retry_after_s=1),
    )
    return deployment.bind(folder, device)


def serve_student(folder: str, *, port: int = PORT, device: str = "cpu") -> str:
    """Serve the student on the running Ray cluster, on the loopback interface; returns the address once it answers."""
    check_port(port)
    serve.start(http_options=HTTPOptions(host=HOST, port=port, request_timeout_s=TIMEOUT_SECONDS))
    serve.run(student_app(folder, device=device), name="student", route_prefix="/")
    return f"http://{HOST}:{port}"
