"""Where deployments become applications: the only .bind() calls."""

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
from stickers.pipeline import CONFIG


class StudentOptions(BaseModel):
    """What a Serve configuration file says of the student: `args` of an application built by `build_student`."""

    model_config = ConfigDict(extra="forbid")

    model: str = f"models:/{STUDENT}@{CHAMPION}"
    """a registered model's name, or an exported folder or its URI"""
    runs: str = ""
    """the runs folder, whose MLflow store is asked for names; by MLFLOW_TRACKING_URI where that is set"""
    device: str = "cpu"


def build_student(options: StudentOptions) -> Application:
    """The student as a Serve configuration names it: `import_path: serve.apps:build_student`."""
    return student_app(find_model(options.model, options.runs), device=options.device)


class ChoosingOptions(BaseModel):
    """What a Serve configuration file says of the annotation service."""

    model_config = ConfigDict(extra="forbid")

    votes: str = ""
    """SQLAlchemy URL of the vote store, PostgreSQL where there are several replicas; by default that in STICKERS_VOTES,
    since it holds a password"""
    hosts: list[str] = []
    """the names that people reach it by"""
    secure: bool = True
    """cookies go over HTTPS alone"""
    replicas: int = 1


def build_choosing(options: ChoosingOptions) -> Application:
    """The annotation service as a Serve configuration names it: `import_path: serve.apps:build_choosing`.

    Raises:
        UserError: there is no URL, or several replicas would share a SQLite file.
    """
    votes = options.votes or os.environ.get("STICKERS_VOTES", "")
    if not votes:
        raise UserError("the vote store is not named: give votes, or set STICKERS_VOTES to its URL")
    if options.replicas > 1 and votes.startswith("sqlite"):
        raise UserError("several replicas need a PostgreSQL; SQLite is for one")
    asked = AnnotationOptions(votes=votes, hosts=tuple(options.hosts), secure=options.secure)
    deployment = serve.deployment(
        serve.ingress()(AnnotationDeployment),
        name="annotation",
        num_replicas=options.replicas,
        max_ongoing_requests=200,
        ray_actor_options={"num_cpus": 1},
    )
    return deployment.bind(asked)


def find_model(model: str, runs: str) -> str:
    """The exported folder, or its URI, behind a registered name such as models:/name@alias, or given by its place.

    UserError when there is none.
    """
    place = resolve(model, runs) if model.startswith("models:/") else model
    if "://" not in place:
        place = str(Path(place).expanduser().resolve())
    if not storage.exists(storage.join(place, CONFIG)):
        raise UserError(
            f"{place} is no exported model: {CONFIG} is missing (experiments/export.py writes one)"
        )
    return place


def student_app(folder: str, *, device: str = "cpu") -> Application:
    """The student in `folder` (or at that URI) behind HTTP; `device` "cuda" takes one GPU a replica."""
    deployment = serve.deployment(
        serve.ingress()(StudentDeployment),
        name="student",
        ray_actor_options={"num_cpus": 1, "num_gpus": 1 if device.startswith("cuda") else 0},
        # Twice the batch: while one batch runs, the next is decoded and the last encoded.
        max_ongoing_requests=2 * MAX_BATCH,
        max_queued_requests=64,
        backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
    )
    return deployment.bind(folder, device)


def serve_student(folder: str, *, port: int = 8000, device: str = "cpu") -> str:
    """Serve on the running Ray cluster, on the loopback interface alone; returns the address once it answers."""
    check_port(port)
    serve.start(http_options=HTTPOptions(host=HOST, port=port, request_timeout_s=120))
    serve.run(student_app(folder, device=device), name="student", route_prefix="/")
    return f"http://{HOST}:{port}"
