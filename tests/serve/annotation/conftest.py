"""A really running annotation service over a small plan of real clips."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from stickers import storage
from stickers.annotation.store.people import add_person, new_link
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import Vote
from tests.support.annotators import SignedIn
from tests.support.plans import finish_plan
from tests.support.postgres import empty_database

PEOPLE = {"ann": "annotator", "bob": "annotator", "cid": "annotator", "eve": "expert", "lea": "lead"}
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Running:
    """The service: its address, and the store that it writes to."""

    url: str
    store: VoteStore
    plan_id: str

    def link(self, name: str) -> str:
        """A sign-in link that works; the person's other sessions end."""
        return f"{self.url}/#sign-in={self.token(name)}"

    def token(self, name: str) -> str:
        """The token of a new sign-in link."""
        return self.store.write(lambda connection: new_link(connection, name, "test")).result()

    def votes(self) -> list[Vote]:
        """The answers that count."""
        return self.store.all()


@pytest.fixture(scope="session")
def drawn_plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with a finished plan: 8 prompts, 2 pictures, 3 teachers, so 8 jobs of six."""
    runs = tmp_path_factory.mktemp("drawn") / "runs"
    finish_plan(runs, 8, ("good", "lazy", "slow"), num_seeds=1)
    return runs


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/votes.db"
    return empty_database(request.getfixturevalue("postgres_url"))


@pytest.fixture
def annotation(drawn_plan: Path, database: str) -> Iterator[Running]:
    """The service with a store of its own, and people who may sign in."""
    from experiments.cli.keeping import join_queue
    from serve.annotation.deployment import AnnotationOptions, open_annotation
    from serve.annotation.engine import Limits
    from serve.standalone import running

    plan = storage.find_record(str(drawn_plan), "plans")
    with VoteStore(database) as votes:
        for name, role in PEOPLE.items():
            password = PASSWORD if name == "bob" else None
            votes.write(
                lambda connection, name=name, role=role, password=password: add_person(
                    connection, name, role, password=password
                )
            ).result()
        assert join_queue(votes, plan, "lea") == 8
        # by the hour, so that no test can outlast them
        limits = Limits(wrong_sign_ins="5 per hour", password_tries="4 per hour", requests="6000 per minute")
        with running(open_annotation(AnnotationOptions(votes=database, limits=limits))) as address:
            yield Running(address, votes, plan.record["plan_id"])


@pytest.fixture
def signed_in(annotation: Running) -> Iterator[SignedIn]:
    """Opens a client in which a person is signed in."""
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
