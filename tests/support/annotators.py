"""People who choose over HTTP."""

from collections.abc import Callable
from typing import Any

import httpx

#: opens a client in which a person is signed in
SignedIn = Callable[..., httpx.Client]


def next_job(client: httpx.Client, *have: str) -> dict[str, Any]:
    """The next job as JSON; `have` are the jobs that the page shows already."""
    job: dict[str, Any] = client.post("/api/next", json={"have": list(have)}).json()["job"]
    return job


def answer(client: httpx.Client, job: dict[str, Any], *picks: int, **more: Any) -> httpx.Response:
    """Pick clips of a job by their indices."""
    body = {"picks": [job["clips"][index]["id"] for index in picks], "revision": job["revision"], **more}
    return client.post(f"/api/jobs/{job['job_id']}/answer", json=body)


def work_through(client: httpx.Client, choose: Callable[[dict[str, Any]], list[str]]) -> int:
    """Answer every job that comes; returns how many."""
    count, job = 0, next_job(client)
    while job:
        body = {"picks": choose(job), "revision": 0}
        job = client.post(f"/api/jobs/{job['job_id']}/answer", json=body).json()["job"]
        count += 1
    return count
