"""Where deployments become applications: the only .bind() calls."""

import socket

from ray import serve
from ray.serve import Application
from ray.serve.config import BackpressureConfig, HTTPOptions

from serve.student import MAX_BATCH, StudentDeployment

HOST = "127.0.0.1"
"""Loopback alone: the service has no users and no passwords; what faces a network belongs behind a gateway."""


def student_app(folder: str, *, device: str = "cpu") -> Application:
    """The student in `folder` behind HTTP; `device` "cuda" takes one GPU a replica."""
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


def check_port(port: int) -> None:
    """ValueError when nothing can listen there: Ray would only say so in a log."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise ValueError(f"port {port} cannot be used ({error}); choose another with --port") from error
