"""The annotation service over real HTTP: who may do what, what nobody can do, and what nobody can find out."""

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings

from serve.annotation.http import CRITERIA, MAX_BODY_BYTES, SKIP_REASONS
from stickers import storage
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import CANDIDATES, Candidate
from stickers.artifacts.schema import table_of
from stickers.candidates.archive import Candidates, compact
from stickers.candidates.plan import load_plan
from tests.serve.annotation.conftest import PASSWORD, PEOPLE, Running
from tests.support.annotators import SignedIn, answer, next_job


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
        drawn = list(archive.with_clips(archive))
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


def test_a_person_is_told_how_to_choose(signed_in: SignedIn) -> None:
    ann = signed_in("ann")
    told = ann.get("/api/me").json()
    assert (told["name"], told["role"], told["answered"], told["paused"]) == ("ann", "annotator", 0, False)
    assert told["criteria"] == list(CRITERIA) and told["skip_reasons"] == list(SKIP_REASONS)
    answer(ann, next_job(ann), 0)
    assert ann.get("/api/me").json()["answered"] == 1
    assert signed_in("lea").post("/api/lead/paused", json={"paused": True}).status_code == 200
    assert "paused" in signed_in("bob").post("/api/next", json={}).json()["reason"]


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
        assert guesses == [401, 401, 429, 429], "five wrong ones an hour from one address"


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
    huge = b'{"have": ["' + b"a" * MAX_BODY_BYTES + b'"]}'
    assert (
        ann.post("/api/next", content=huge, headers={"Content-Type": "application/json"}).status_code == 413
    )

    def unannounced() -> Iterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 1024 + 1):
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
