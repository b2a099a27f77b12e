"""A lead over HTTP: watches, changes settings midway, retires votes and decides disagreements."""

from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from serve.annotation.lead import sign_in_link
from stickers import storage
from stickers.candidates.archive import Candidates
from tests.serve.annotation.conftest import Running
from tests.support.annotators import SignedIn, answer, next_job, work_through
from tests.support.processes import wait_for


def test_two_rounds_over_http_and_the_lead_sees_them(
    annotation: Running, signed_in: SignedIn, drawn_plan: Path
) -> None:
    plan = storage.find_record(str(drawn_plan), "plans")
    good = {row.candidate_id for row in Candidates(plan.uri) if row.teacher == "good"}

    def fair(job: dict[str, Any]) -> list[str]:
        return [clip["id"] for clip in job["clips"] if clip["id"] in good]

    assert signed_in("eve").post("/api/next", json={}).json()["job"] is None
    assert [work_through(signed_in(name), fair) for name in ("ann", "bob")] == [8, 8]
    cid = signed_in("cid")
    job = next_job(cid)
    split = answer(cid, job, *range(6)).json()
    assert split["saved"] == {"job_id": job["job_id"], "revision": 0} and split["job"]
    work_through(cid, fair)
    lead = signed_in("lea")
    summary = lead.get("/api/lead/summary").json()
    first = summary["rounds"][0]
    assert (first["jobs"], first["finished"], first["answers"], first["wanted"]) == (8, 8, 24, 24)
    assert (
        first["disputed"] == len(job["clips"]) - len(fair(job)) and 0 < summary["agreement"][0]["alpha"] < 1
    )
    people = {row["name"]: row for row in summary["people"]}
    assert people["ann"]["answers"] == 8 and people["cid"]["with_majority"] < people["ann"]["with_majority"]
    assert work_through(signed_in("eve"), fair) == len(good) // 6 + bool(len(good) % 6)

    def rates() -> dict[str, int]:
        """Kept clips by teacher; the page may be a moment old."""
        counts: Counter[str] = Counter()
        for row in lead.get("/api/lead/summary").json()["keep_rates"]:
            counts[row["teacher"]] += row["kept"]
        return dict(counts)

    wait_for(lambda: rates().get("good") == len(good))
    assert rates()["lazy"] == rates()["slow"] == 0
    ruling = lead.post("/api/lead/rulings/next", json={}).json()["job"]
    assert set(ruling["votes"]) == {clip["id"] for clip in ruling["clips"]}
    assert all(vote["yes"] == 1 and vote["no"] == 2 for vote in ruling["votes"].values())
    assert answer(lead, ruling).status_code == 200
    wait_for(lambda: lead.get("/api/lead/summary").json()["rulings"]["decided"] == len(ruling["clips"]))


def test_numbers_change_midway_over_http(annotation: Running, signed_in: SignedIn) -> None:
    lead, ann = signed_in("lea"), signed_in("ann")
    assert work_through(ann, lambda job: [job["clips"][0]["id"]]) == 8
    one = {"rounds": [{"role": "annotator", "people": 1, "quorum": 1}]}
    assert lead.post("/api/lead/settings", json=one).json()["rounds"][0]["people"] == 1
    assert next_job(signed_in("bob")) is None, "one person a job is enough now"
    assert lead.get("/api/lead/summary").json()["rounds"][0]["survived"] == 8
    two = {"rounds": [{"role": "annotator", "people": 2, "quorum": 2}], "gold_rate": 0.1}
    assert lead.post("/api/lead/settings", json=two).status_code == 200
    assert work_through(signed_in("bob"), lambda _: []) == 8 and len(annotation.votes()) == 16
    for wrong in (
        {"gold_rate": 3},
        {"rounds": [{"role": "lead", "people": 1, "quorum": 1}]},
        {"policy": "x"},
    ):
        refused = lead.post("/api/lead/settings", json=wrong)
        assert refused.status_code == 400 and next(iter(wrong))[:5] in refused.json()["detail"]


def test_retired_votes_are_asked_for_again_and_come_back(annotation: Running, signed_in: SignedIn) -> None:
    lead = signed_in("lea")
    for name in ("ann", "bob", "cid"):
        work_through(signed_in(name), lambda job: [job["clips"][0]["id"]])
    why = {"retired": True, "reason": "clicked without looking"}
    assert lead.post("/api/lead/people/ann/votes", json=why).json() == {"votes": 8}
    assert lead.post("/api/lead/people/ann/votes", json=why).status_code == 400
    assert {vote.annotator for vote in annotation.votes()} == {"bob", "cid"}
    dan = lead.post("/api/lead/people", json={"name": "dan", "role": "annotator"}).json()
    token = dan["link"].rpartition("=")[2]
    with httpx.Client(base_url=annotation.url) as client:
        client.headers["X-CSRF-Token"] = client.post("/api/sign-in", json={"token": token}).json()["csrf"]
        assert work_through(client, lambda _: []) == 8
    back = {"retired": False, "reason": "it was somebody else"}
    assert lead.post("/api/lead/people/ann/votes", json=back).status_code == 200
    assert len(annotation.votes()) == 32
    actions = [event["what"] for event in lead.get("/api/lead/log").json()["events"]]
    assert actions[0] == "votes restored" and "votes retired" in actions


def test_a_sign_in_link_keeps_its_token_from_servers() -> None:
    link = sign_in_link("http://127.0.0.1:8100/", "secret")
    assert link == "http://127.0.0.1:8100/#sign-in=secret"
