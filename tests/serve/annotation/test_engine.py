"""The service without HTTP: people sign in, take jobs and answer them; a lead changes the rules at once."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from experiments.cli.keeping import join_queue
from serve.annotation.engine import Annotation
from stickers import storage
from stickers.annotation.store.people import Person, add_person
from stickers.annotation.store.seats import Answer
from stickers.annotation.store.votes import VoteStore
from stickers.candidates.archive import Candidates
from tests.serve.annotation.conftest import PASSWORD, PEOPLE
from tests.support.choosing import require
from tests.support.coroutines import finish

ANN = Person(name="ann", role="annotator")
EVE = Person(name="eve", role="expert")
LEA = Person(name="lea", role="lead")


def run(drawn_plan: Path, tmp_path: Path, work: Callable[[Annotation], Awaitable[None]]) -> None:
    """Let a service over the drawn plan do some work."""
    with VoteStore(f"sqlite:///{tmp_path}/votes.db") as store:
        for name, role in PEOPLE.items():
            store.write(
                lambda connection, name=name, role=role: add_person(
                    connection, name, role, password=PASSWORD if name == "bob" else None
                )
            ).result()
        join_queue(store, storage.find_record(str(drawn_plan), "plans"), "lea")

        async def whole() -> None:
            await work(Annotation(store))

        finish(whole())


def test_a_session_begins_and_ends(drawn_plan: Path, tmp_path: Path) -> None:
    async def work(service: Annotation) -> None:
        assert await service.sign_in(name="bob", password="not this one") is None
        assert await service.sign_in(token="t" * 43) is None
        session = await service.sign_in(name="bob", password=PASSWORD)
        assert session is not None and session.person.name == "bob"
        again = await service.session(session.token)
        assert again is not None and again.csrf == session.csrf
        await service.sign_out(session.token)
        assert await service.session(session.token) is None

    run(drawn_plan, tmp_path, work)


def test_an_answer_brings_the_next_job_and_its_clips(drawn_plan: Path, tmp_path: Path) -> None:
    async def work(service: Annotation) -> None:
        first = require(await service.next(ANN, []))
        skipped_to = require(await service.skip(ANN, first.job.job_id, "upsetting", []))
        assert skipped_to.job.job_id != first.job.job_id
        picks = [skipped_to.job.candidates[0]]
        vote, lease = await service.give(ANN, skipped_to.job.job_id, Answer(picks=picks), [])
        assert vote.picks == picks and require(lease).job.job_id not in (first.job.job_id, vote.job_id)
        assert [row.picks for row in service.store.all()] == [picks], "it is durable"
        clip = await service.clip(first.job.digests[0])
        assert clip is not None and clip[:4] == b"RIFF"
        assert await service.clip("nowhere") is None

    run(drawn_plan, tmp_path, work)


def test_survivors_reach_the_expert_and_the_lead_sees_it(drawn_plan: Path, tmp_path: Path) -> None:
    good = {
        row.candidate_id
        for row in Candidates(storage.find_record(str(drawn_plan), "plans").uri)
        if row.teacher == "good"
    }

    async def work(service: Annotation) -> None:
        assert await service.next(EVE, []) is None
        for name in ("ann", "bob", "cid"):
            person = Person(name=name, role="annotator")
            lease = await service.next(person, [])
            while lease is not None:
                picks = [clip for clip in lease.job.candidates if clip in good or name == "cid"]
                _, lease = await service.give(person, lease.job.job_id, Answer(picks=picks), [])
        await service.change({"gold_rate": 0.0}, LEA)  # a lead's change forgets what is cached
        job = require(await service.next(EVE, [])).job
        assert job.round == 2 and set(job.candidates) <= good
        summary = await service.overview()
        assert summary["rounds"][0]["finished"] == 8 and summary is await service.overview()
        ruling = await service.ruling(LEA, [])
        assert ruling is not None
        lease, verdicts = ruling
        assert set(verdicts) == set(lease.job.candidates) and not set(verdicts) & good

    run(drawn_plan, tmp_path, work)


def test_what_a_lead_changes_shows_at_once(drawn_plan: Path, tmp_path: Path) -> None:
    async def work(service: Annotation) -> None:
        assert not (await service.current_settings()).paused
        await service.change({"paused": True}, LEA)
        assert (await service.current_settings()).paused and await service.next(ANN, []) is None
        after = await service.change({"paused": False, "clips_per_job": 4}, LEA)
        assert (after.paused, after.clips_per_job) == (False, 4)
        assert await service.next(ANN, []) is not None
        events = await service.trail(3)
        assert len(events) == 3 and {event["who"] for event in events} == {"lea"}
        with pytest.raises(ValueError, match="gold_rate"):
            await service.change({"gold_rate": 3}, LEA)

    run(drawn_plan, tmp_path, work)
