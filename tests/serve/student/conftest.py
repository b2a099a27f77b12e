"""The student behind HTTP: in this process, and as a Ray Serve application."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from experiments.trials.ports import free_ports


@pytest.fixture(scope="session")
def endpoint(student_folder: Path) -> Iterator[str]:
    """The address of the application in this process; every request is a batch of its own."""
    from serve.standalone import running
    from serve.student.engine import AnimationRequest, Student
    from serve.student.http import build_app

    student = Student.build(str(student_folder))

    async def animate(request: AnimationRequest) -> np.ndarray:
        return (await asyncio.to_thread(student.animate, [request]))[0]

    with running(build_app(student, animate)) as address:
        yield address


@pytest.fixture(scope="module")
def ray_endpoint(student_folder: Path) -> Iterator[str]:
    """The address of a real Ray Serve application; ends only what it started."""
    import ray
    from ray import serve as ray_serve

    from serve.apps import serve_student

    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    try:
        yield serve_student(str(student_folder), port=free_ports(1)[0])
    finally:
        ray_serve.shutdown()
        ray.shutdown()
