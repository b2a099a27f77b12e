"""The annotation service over real HTTP: who may do what, what nobody can do, and what nobody can find out."""

import base64
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from stickers import storage
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import CANDIDATES, Candidate
from stickers.artifacts.schema import table_of
from stickers.candidates.archive import Candidates, compact
from stickers.candidates.plan import load_plan
from tests.serve.annotation.conftest import PASSWORD, PEOPLE, Running
from tests.support.postgres import empty_database
from tests.support.processes import wait_for

SignedIn = Callable[..., httpx.Client]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Everything here is tried on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/votes.db"
    return empty_database(request.getfixturevalue("postgres_url"))


@pytest.fixture
def signed_in(annotation: Running) -> Iterator[SignedIn]:
    """Opens a client in which somebody is signed in."""
    clients = []

    def enter(name: str, url: str = annotation.url, token: str | None = None) -> httpx.Client:
        client = httpx.Client(base_url=url, timeout=60)
        clients.append(client)
        answer = client.post("/api/sign-in", json={"token": token or annotation.token(name)})
        assert answer.status_code == 200 and answer.json()["role"] == PEOPLE[name]
        client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        return client

    yield enter
    for client in clients:
        client.close()


def next_job(client: httpx.Client, *have: str) -> dict[str, Any]:
    job: dict[str, Any] = client.post("/api/next", json={"have": list(have)}).json()["job"]
    return job


def answer(client: httpx.Client, job: dict[str, Any], *picks: int, **more: Any) -> httpx.Response:
    body = {"picks": [job["clips"][index]["id"] for index in picks], "revision": job["revision"], **more}
    return client.post(f"/api/jobs/{job['job_id']}/answer", json=body)


def work_through(client: httpx.Client, choose: Callable[[dict[str, Any]], list[str]]) -> int:
    count, job = 0, next_job(client)
    while job:
        body = {"picks": choose(job), "revision": 0}
        job = client.post(f"/api/jobs/{job['job_id']}/answer", json=body).json()["job"]
        count += 1
    return count


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

    wait_for(lambda: rates().get("good") == len(good), 30)
    assert rates()["lazy"] == rates()["slow"] == 0
    ruling = lead.post("/api/lead/rulings/next", json={}).json()["job"]
    assert set(ruling["votes"]) == {clip["id"] for clip in ruling["clips"]}
    assert all(ruling["yes"] == 1 and ruling["no"] == 2 for ruling in ruling["votes"].values())
    assert answer(lead, ruling).status_code == 200
    wait_for(lambda: lead.get("/api/lead/summary").json()["rulings"]["decided"] == len(ruling["clips"]), 30)


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


def received(url: str, token: str) -> list[bytes]:
    """Every byte that one annotator gets from sign-in to the last job: pages, JSON, headers, clips."""
    kept = []
    with httpx.Client(base_url=url, timeout=60) as client:

        def keep(answer: httpx.Response) -> httpx.Response:
            plain = sorted((k, v) for k, v in answer.headers.items() if k not in ("date", "set-cookie"))
            kept.append(str(answer.request.url.path).encode() + repr(plain).encode() + answer.content)
            return answer

        client.headers["X-CSRF-Token"] = client.post("/api/sign-in", json={"token": token}).json()["csrf"]
        for page in ("/", "/web/choose.js", "/api/history"):
            keep(client.get(page))
        job = keep(client.post("/api/next", json={})).json()["job"]
        while job:
            for clip in job["clips"]:
                keep(client.get(clip["url"]))
            job = keep(answer(client, job, 0)).json()["job"]
    return kept


def test_teachers_that_change_names_change_no_byte(drawn_plan: Path, tmp_path: Path) -> None:
    from experiments.cli.keeping import join_queue
    from serve.annotation.deployment import AnnotationOptions, open_annotation
    from serve.standalone import running
    from stickers.annotation.store.people import add_person

    plan = storage.find_record(str(drawn_plan), "plans")
    names = {"good": "lazy", "lazy": "slow", "slow": "good"}
    bytes_of = []
    for number, renamed in enumerate((False, True)):
        runs = tmp_path / str(number)
        archive, rows = Candidates(plan.uri), load_plan(plan.uri)
        drawn = list(archive.whole(archive))
        if renamed:
            drawn = [replace(row, teacher=names[row.teacher]) for row in drawn]
        uri = str(runs / "plans" / "same")
        folder = storage.join(uri, "candidates", "all", "0")
        storage.write_table(storage.join(folder, "rows", "a.parquet"), table_of(drawn, Candidate), CANDIDATES)
        compact(uri, rows, [folder])
        storage.write_record(uri, plan.record)
        url = f"sqlite:///{runs}/votes.db"
        with VoteStore(url) as votes:
            token = votes.write(lambda connection: add_person(connection, "ann", "annotator")).result()
            join_queue(votes, storage.find_record(str(runs), "plans"), "lea")
        with running(open_annotation(AnnotationOptions(votes=url))) as address:
            bytes_of.append(received(address, token))
    assert len(bytes_of[0]) == 3 + 1 + 8 * 7 and bytes_of[0] == bytes_of[1]
    everything = b"".join(bytes_of[0])
    assert not any(re.search(rb"\b%s\b" % name.encode(), everything) for name in ("lazy", "slow", "teacher"))


# -- attacks --------------------------------------------------------------------------------------


def test_nobody_gets_in_without_a_sign_in(annotation: Running) -> None:
    with httpx.Client(base_url=annotation.url) as client:
        paths = [
            path.format(job_id="x", name="x.webp" if "clips" in path else "x")
            for path, methods in client.get("/openapi.json").json()["paths"].items()
            for _ in methods
            if path not in ("/healthz", "/api/sign-in")
        ]
        assert len(paths) > 15
        for path in paths:
            get, post = client.get(path), client.post(path, json={})
            assert {get.status_code, post.status_code} <= {401, 405, 422}, path
        forged = client.get("/api/me", headers={"Cookie": "stickers_session=" + "a" * 43})
        assert forged.status_code == 401


def test_a_session_is_its_own_and_ends(annotation: Running, signed_in: SignedIn) -> None:
    ann, bob = signed_in("ann"), signed_in("bob")
    job = next_job(ann)
    assert answer(bob, job, 0).status_code == 409 and bob.get(f"/api/jobs/{job['job_id']}").status_code == 404
    assert bob.post(f"/api/jobs/{job['job_id']}/skip", json={"reason": "x"}).status_code == 409
    assert answer(ann, job, 0, revision=5).status_code == 409
    assert answer(ann, job, 0).status_code == answer(ann, job, 0).status_code == 200
    assert answer(ann, job, 1).status_code == 409, "another answer under the same revision"
    assert len(annotation.votes()) == 1
    for role in ("ann", "bob"):
        client = {"ann": ann, "bob": bob}[role]
        assert client.get("/api/lead/summary").status_code == 403
        assert client.post("/api/lead/people", json={"name": "x", "role": "lead"}).status_code == 403
    cookie = ann.cookies["stickers_session"]
    stolen = {"Cookie": f"stickers_session={cookie}"}
    no_token = httpx.post(f"{annotation.url}/api/next", json={}, headers=stolen)
    assert no_token.status_code == 403, "a cookie alone changes nothing"
    wrong = {**stolen, "X-CSRF-Token": bob.headers["X-CSRF-Token"]}
    assert httpx.post(f"{annotation.url}/api/next", json={}, headers=wrong).status_code == 403
    assert ann.post("/api/sign-out", json={}).status_code == 200
    again = {**stolen, "X-CSRF-Token": ann.headers["X-CSRF-Token"]}
    assert httpx.post(f"{annotation.url}/api/next", json={}, headers=again).status_code == 401
    lead = signed_in("lea")
    assert lead.post("/api/lead/people/bob/active", json={"active": False}).status_code == 200
    assert bob.get("/api/me").status_code == 401


def test_other_pages_and_other_names_are_refused(annotation: Running, signed_in: SignedIn) -> None:
    ann = signed_in("ann")
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": annotation.url.replace("127.0.0.1", "localhost")},
    ):
        assert ann.post("/api/next", json={}, headers=headers).status_code == 403
    assert ann.get("/", headers={"Host": "evil.example"}).status_code == 400
    page = ann.get("/")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY" and page.headers["X-Content-Type-Options"] == "nosniff"
    with httpx.Client(base_url=annotation.url) as client:
        cookie = client.post("/api/sign-in", json={"token": annotation.token("ann")}).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie


def test_passwords_cannot_be_guessed_by_trying(annotation: Running) -> None:
    with httpx.Client(base_url=annotation.url, timeout=60) as client:
        right = {"name": "bob", "password": PASSWORD}
        assert client.post("/api/sign-in", json=right).status_code == 200
        codes = [
            client.post("/api/sign-in", json={"name": "bob", "password": f"guess number {n}"}).status_code
            for n in range(6)
        ]
        assert codes == [401, 401, 401, 429, 429, 429]
        locked = client.post("/api/sign-in", json=right)
        assert locked.status_code == 429 and int(locked.headers["Retry-After"]) >= 1
        guesses = [client.post("/api/sign-in", json={"token": f"t{n}" * 20}).status_code for n in range(4)]
        assert guesses == [401, 401, 429, 429], "five wrong ones a minute from one address"


def test_clips_are_found_by_digest_and_no_path(annotation: Running, signed_in: SignedIn) -> None:
    ann = signed_in("ann")
    job = next_job(ann)
    clip = ann.get(job["clips"][0]["url"])
    assert clip.headers["Content-Type"] == "image/webp" and "immutable" in clip.headers["Cache-Control"]
    for name in (
        "../../../etc/passwd",
        "..%2f..%2fvotes.db",
        "%2e%2e/lead.webp",
        "x" * 27 + ".webp",
        "a.png",
    ):
        assert ann.get(f"/clips/{name}").status_code in (404, 422), name
    for path in ("/web/../annotation.py", "/web/%2e%2e/annotation.py", "/web/../../http.py"):
        assert ann.get(path).status_code == 404


SQL = [
    "'; DROP TABLE votes; --",
    '" OR 1=1 --',
    "ann' UNION SELECT password FROM people --",
    "%s",
    "\x00",
    "a\\",
]


def test_sql_and_markup_are_only_text(annotation: Running, signed_in: SignedIn) -> None:
    lead, ann = signed_in("lea"), signed_in("ann")
    for text in SQL:
        assert lead.post("/api/lead/people", json={"name": f"x {text}", "role": "annotator"}).status_code in (
            200,
            400,
            422,
        )
        assert lead.post(f"/api/lead/people/{quote(text, safe='')}/link", json={}).status_code in (
            400,
            404,
            422,
        )
        job = next_job(ann)
        skipped = ann.post(f"/api/jobs/{job['job_id']}/skip", json={"reason": text})
        assert skipped.status_code == (422 if "\x00" in text else 200)
        body = {"picks": [text], "revision": 0}
        assert ann.post(f"/api/jobs/{job['job_id']}/answer", json=body).status_code == 422
        assert httpx.post(f"{annotation.url}/api/sign-in", json={"token": text}).status_code in (401, 429)
    assert lead.get("/api/lead/summary").status_code == 200 and annotation.votes() == []
    names = {row["name"] for row in lead.get("/api/lead/summary").json()["people"]}
    assert f"x {SQL[0]}" in names and set(PEOPLE) <= names


def test_large_bodies_are_refused(annotation: Running, signed_in: SignedIn) -> None:
    ann = signed_in("ann")
    huge = b'{"have": ["' + b"a" * (300 << 10) + b'"]}'
    assert (
        ann.post("/api/next", content=huge, headers={"Content-Type": "application/json"}).status_code == 413
    )

    def unannounced() -> Iterator[bytes]:
        for _ in range(300):
            yield b" " * 1024

    assert ann.post("/api/next", content=unannounced()).status_code == 413
    assert ann.post("/api/next", json={"have": ["a"] * 21}).status_code == 422


def test_whatever_is_sent_nothing_breaks(annotation: Running, signed_in: SignedIn) -> None:
    """Schemathesis over the description that the service gives of itself: no answer of 500 or above."""
    lead = signed_in("lea")
    schema = schemathesis.openapi.from_url(f"{annotation.url}/openapi.json")
    headers = {
        "X-CSRF-Token": lead.headers["X-CSRF-Token"],
        "Cookie": f"stickers_session={lead.cookies['stickers_session']}",
    }
    requests = []

    for operation in schema.get_all_operations():
        strategy = operation.ok().as_strategy()

        @given(case=strategy)
        @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def attack(case: schemathesis.Case) -> None:
            if case.path == "/api/sign-out":
                return
            answered = case.call(headers=headers)
            requests.append(case.path)
            assert answered.status_code < 500, f"{case.method} {case.path}: {answered.text[:300]}"

        attack()
    assert len(set(requests)) > 15 and len(requests) > 300
    assert httpx.get(f"{annotation.url}/healthz").json() == {"status": "ok"}


def test_basic_credentials_mean_nothing(annotation: Running) -> None:
    header = "Basic " + base64.b64encode(b"bob:" + PASSWORD.encode()).decode()
    assert httpx.get(f"{annotation.url}/api/me", headers={"Authorization": header}).status_code == 401
