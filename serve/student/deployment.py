"""The student as a Ray Serve replica, which batches requests for a plain engine.

Pictures are decoded and clips encoded on the replica, because pixels sent between actors would be copied.
"""

import asyncio

import numpy as np
from fastapi import FastAPI
from ray import serve

from serve.student.engine import AnimationRequest, Student
from serve.student.http import build_app
from stickers import storage

#: requests that the model animates together
MAX_BATCH = 8
#: that a request waits for others to join its batch
BATCH_SECONDS = 0.02


class StudentDeployment:
    """A replica: one student and its HTTP routes. The model runs one batch at a time.

    `folder` is an exported folder or its URI; every replica fetches a copy of its own.
    """

    def __init__(self, folder: str, device: str) -> None:
        self.student = Student.build(storage.local_folder(folder), device)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build_app(self.student, self.animate)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=BATCH_SECONDS)
    async def animate(self, requests: list[AnimationRequest]) -> list[np.ndarray]:
        """The clips of a batch of requests."""
        # in a thread: on the event loop a long batch would block the health check, and Ray would kill the replica.
        return await asyncio.to_thread(self.student.animate, requests)
