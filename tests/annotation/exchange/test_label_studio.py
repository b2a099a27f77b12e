"""Votes survive Label Studio's JSON, and an annotation that lacks something is refused with its number."""

from typing import Any

import pytest

from stickers.annotation.exchange.label_studio import jobs_in, tasks_of_jobs, tasks_of_votes, votes_in
from stickers.errors import UserError

JOB = {
    "job_id": "j1", "plan_id": "plan", "round": 1, "kind": "choose", "candidates": ["a", "b"], "digests": ["da", "db"],
    "prompts": ["a cat", "a cat"],
}  # fmt: skip
VOTE = {
    "job_id": "j1", "plan_id": "plan", "round": 1, "kind": "choose", "annotator": "ann", "shown": ["b", "a"],
    "shown_digests": ["db", "da"], "picks": ["a"], "started_at": "2026-01-01T12:00:00+00:00",
    "submitted_at": "2026-01-01T12:00:10+00:00", "simulated": False, "revision": 0, "flagged": [], "flags": [],
}  # fmt: skip


def test_jobs_and_votes_come_back_as_they_went_out() -> None:
    tasks = tasks_of_jobs([JOB])
    assert tasks[0]["data"]["prompt"] == "a cat" and list(jobs_in(tasks)) == [("task 1", JOB)]
    others = [VOTE, {**VOTE, "annotator": "bob"}]
    tasks = tasks_of_votes(others)
    assert len(tasks) == 1 and tasks[0]["annotations"][0]["lead_time"] == 10
    assert [vote for _, vote in votes_in(tasks)] == others


def test_an_annotation_of_label_studio_becomes_a_vote() -> None:
    (task,) = tasks_of_jobs([JOB])
    choices = {"from_name": "picks", "type": "choices", "value": {"choices": ["b"]}}
    times = {"updated_at": "2026-01-01T12:00:10+00:00", "lead_time": 10}
    task["annotations"] = [
        {"completed_by": {"id": 7, "email": "ann@example.org"}, "result": [choices], **times}
    ]
    ((number, vote),) = votes_in([task])
    assert number == "task 1, annotation 1"
    assert (vote["annotator"], vote["picks"], vote["shown"]) == ("ann@example.org", ["b"], ["a", "b"])
    assert vote["started_at"] == "2026-01-01T12:00:00+00:00"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"was_cancelled": True}, "the task was skipped"),
        ({"result": None}, "field result must be a list"),
        ({"result": [{"type": "rating"}]}, "something other than the choices"),
        ({"result": [], "completed_by": None}, "field completed_by"),
        ({"result": [], "updated_at": "noon"}, "fields updated_at and lead_time"),
    ],
)
def test_an_annotation_that_is_no_vote_is_refused(change: dict[str, Any], sentence: str) -> None:
    (task,) = tasks_of_jobs([JOB])
    plain = {"completed_by": 7, "result": [], "updated_at": "2026-01-01T12:00:10+00:00", "lead_time": 10}
    task["annotations"] = [plain, {**plain, **change}]
    (_, good), (_, refused) = votes_in([task])
    assert good["annotator"] == "7"
    assert isinstance(refused, UserError) and sentence in str(refused)
