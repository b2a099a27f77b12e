"""What the service takes is bounded, and what it gives of a job hides who made its clips."""

from typing import Any

import pytest
from pydantic import ValidationError

from serve.annotation.forms import AnswerBody, Body, HeldJobs, NewPerson, NewSettings, SignIn, SkipBody, shown
from stickers.annotation.jobs import build_jobs
from stickers.annotation.store.people import Person
from stickers.annotation.store.seats import Lease
from tests.support.choosing import answered
from tests.support.clips import BY_ID, ROWS


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (SignIn, {"token": "t" * 201}),
        (SignIn, {"name": "ann", "secret": "x"}),
        (HeldJobs, {"have": ["a"] * 21}),
        (HeldJobs, {"have": ["../x"]}),
        (AnswerBody, {"picks": ["a"], "revision": -1}),
        (AnswerBody, {"picks": ["a"], "flags": {"a": "dull"}}),
        (AnswerBody, {"picks": ["a"], "revision": "1"}),
        (SkipBody, {"reason": "a\x00b"}),
        (SkipBody, {"reason": ""}),
        (NewPerson, {"name": "ann", "role": "owner"}),
        (NewPerson, {"name": "ann", "role": "lead", "password": "short"}),
        (NewSettings, {"speed": 3}),
    ],
)
def test_what_is_too_large_or_unknown_is_refused(body: type[Body], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        body(**values)


def test_what_is_left_out_has_no_effect() -> None:
    assert AnswerBody(picks=["a"], seconds=3).model_dump() == {
        "have": [],
        "picks": ["a"],
        "flags": {},
        "revision": 0,
        "seconds": 3.0,
    }
    assert NewSettings(paused=True).model_dump(exclude_none=True) == {"paused": True}


def test_a_job_is_shown_in_its_persons_order_without_a_teacher() -> None:
    job = build_jobs(ROWS, plan_id="p", round_number=1)[0]
    orders = {}
    for name in ("ann", "bob", "cid"):
        view = shown(Lease(job=job), Person(name=name, role="annotator"), 900.0)
        assert view["answer"] is None and view["revision"] == 0 and view["lease_seconds"] == 900.0
        orders[name] = [clip["id"] for clip in view["clips"]]
        assert sorted(orders[name]) == sorted(job.candidates)
        for clip in view["clips"]:
            row = BY_ID[clip["id"]]
            assert clip["url"] == f"/clips/{row.clip_digest}.webp" and clip["prompt"] == row.prompt
            assert set(clip) == {"id", "url", "frames", "fps", "prompt"}
    assert len({tuple(order) for order in orders.values()}) > 1, "people see different orders"


def test_an_answered_job_shows_the_answer() -> None:
    job = build_jobs(ROWS, plan_id="p", round_number=1)[0]
    flags: dict[str, Any] = {"flagged": [job.candidates[1]], "flags": ["broken"], "revision": 2}
    vote = answered(job, "ann", {job.candidates[0]}, **flags)
    view = shown(Lease(job=job, revision=2, answer=vote), Person(name="ann", role="annotator"), 60.0)
    assert view["revision"] == 2
    assert view["answer"] == {"picks": [job.candidates[0]], "flags": {job.candidates[1]: "broken"}}
