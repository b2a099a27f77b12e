"""A really running annotation service over a small plan of real clips."""

import shutil
from collections.abc import Callable, Iterator
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
from tests.support.postgres import new_database

PEOPLE = {"ann": "annotator", "bob": "annotator", "cid": "annotator", "eve": "expert", "lea": "lead"}
PASSWORD = "correct horse battery"
#: makes the database, and gives its URL, from a PostgreSQL server or none and the path of the file otherwise
Populated = Callable[[str | None, Path], str]


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


@pytest.fixture(scope="session")
def populated(drawn_plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Populated:
    """Fills a database with people who may sign in and with the plan's jobs, the first time; later ones are copies."""
    folder = tmp_path_factory.mktemp("populated")
    originals: dict[str, str] = {}

    def fill(database: str) -> None:
        from experiments.cli.keeping import join_queue

        with VoteStore(database) as votes:
            for name, role in PEOPLE.items():
                password = PASSWORD if name == "bob" else None
                votes.write(
                    lambda connection, name=name, role=role, password=password: add_person(
                        connection, name, role, password=password
                    )
                ).result()
            assert join_queue(votes, storage.find_record(str(drawn_plan), "plans"), "lea") == 8

    def populate(server: str | None, target: Path) -> str:
        if server is None:
            original = folder / "votes.db"
            if "sqlite" not in originals:
                fill(originals.setdefault("sqlite", f"sqlite:///{original}"))
            shutil.copyfile(original, target)
            return f"sqlite:///{target}"
        if server not in originals:
            fill(originals.setdefault(server, new_database(server)))
        return new_database(server, of=originals[server])

    return populate


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, populated: Populated, tmp_path: Path) -> str:
    """A database of either kind with people and jobs."""
    server = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    return populated(server, tmp_path / "votes.db")


@pytest.fixture
def annotation(drawn_plan: Path, database: str) -> Iterator[Running]:
    """The service with a store of its own."""
    from serve.annotation.deployment import AnnotationOptions, open_annotation
    from serve.annotation.engine import Limits
    from serve.standalone import running

    plan = storage.find_record(str(drawn_plan), "plans")
    # by the hour, so that no test can outlast them
    limits = Limits(wrong_sign_ins="5 per hour", password_tries="4 per hour", requests="6000 per minute")
    with (
        VoteStore(database) as votes,
        running(open_annotation(AnnotationOptions(votes=database, limits=limits))) as address,
    ):
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
