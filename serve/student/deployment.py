"""The student as a Ray Serve replica: batching across requests round a plain engine.

Pictures are decoded and clips encoded on the replica, because pixels passed between actors would be copied.
"""

import asyncio

import numpy as np
from fastapi import FastAPI
from ray import serve

from serve.student.engine import Order, Student
from serve.student.http import build_app
from stickers import storage

#: requests that pass through the model together
MAX_BATCH = 8


class StudentDeployment:
    """A replica: one student, its HTTP routes, and one batch at a time through the model.

    `place` is an exported folder or its URI, of which each replica fetches a copy of its own.
    """

    def __init__(self, place: str, device: str) -> None:
        self.student = Student.build(storage.local_folder(place), device)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build_app(self.student, self.animate)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=0.02)
    async def animate(self, orders: list[Order]) -> list[np.ndarray]:
        # In a thread: on the event loop a long batch would starve the health check and get the replica killed.
        return await asyncio.to_thread(self.student.animate, orders)
