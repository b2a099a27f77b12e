"""The annotation service as an application, alone and as a cluster runs it by Ray Serve."""

from pathlib import Path

import httpx
import pytest

from experiments.trials.ports import free_ports
from serve.annotation.deployment import AnnotationDeployment, AnnotationOptions
from serve.standalone import running
from stickers import storage
from stickers.annotation.store.people import add_person
from stickers.annotation.store.votes import VoteStore
from stickers.errors import UserError


def test_a_replica_opens_the_store_in_its_own_process_and_takes_its_hosts(tmp_path: Path) -> None:
    options = AnnotationOptions(votes=f"sqlite:///{tmp_path}/votes.db", hosts=("stickers.example",))
    replica = AnnotationDeployment(options)
    assert not (tmp_path / "votes.db").exists()
    with running(replica.__serve_build_asgi_app__()) as address, httpx.Client(base_url=address) as client:
        assert (tmp_path / "votes.db").exists()
        assert client.get("/healthz", headers={"Host": "stickers.example"}).json() == {"status": "ok"}
        assert client.get("/healthz", headers={"Host": "other.example"}).status_code == 400
    missing = AnnotationDeployment(AnnotationOptions(votes=f"sqlite:///{tmp_path}/nowhere/votes.db"))
    with pytest.raises(UserError):
        missing.__serve_build_asgi_app__()


@pytest.mark.ray
@pytest.mark.long
def test_it_answers_behind_ray_serve(drawn_plan: Path, tmp_path: Path) -> None:
    import ray
    from ray import serve as ray_serve
    from ray.serve.config import HTTPOptions

    from experiments.cli.keeping import join_queue
    from serve.apps import ChoosingOptions, build_choosing
    from serve.standalone import HOST

    url, port = f"sqlite:///{tmp_path}/votes.db", free_ports(1)[0]
    with VoteStore(url) as votes:
        token = votes.write(lambda connection: add_person(connection, "ann", "annotator")).result()
        join_queue(votes, storage.find_record(str(drawn_plan), "plans"), "lea")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        ray_serve.start(http_options=HTTPOptions(host=HOST, port=port))
        ray_serve.run(
            build_choosing(ChoosingOptions(votes=url, secure=False)), name="annotation", route_prefix="/"
        )
        with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=60) as client:
            csrf = client.post("/api/sign-in", json={"token": token}).json()["csrf"]
            client.headers["X-CSRF-Token"] = csrf
            job = client.post("/api/next", json={}).json()["job"]
            body = {"picks": [job["clips"][0]["id"]], "revision": 0}
            assert client.post(f"/api/jobs/{job['job_id']}/answer", json=body).json()["job"]
            assert client.get(job["clips"][0]["url"]).headers["content-type"] == "image/webp"
            assert "web/choose.js" in client.get("/").text
    finally:
        ray_serve.shutdown()
        ray.shutdown()
    with VoteStore(url) as votes:
        assert [vote.picks for vote in votes.all()] == [body["picks"]]
