"""A withdrawn sticker leaves tables, clips, kept sets and pages; other clips are found where they were."""

from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import update

from stickers import storage
from stickers.annotation.store.database import seats
from stickers.annotation.store.filing import jobs_in
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import FAILED, KEPT, MADE, PREFERENCES, STICKERS, Sticker
from stickers.artifacts.schema import records_of
from stickers.candidates.archive import WITHDRAWN, Candidates
from stickers.candidates.audit import audit_index, audit_part, parts_of
from stickers.errors import UserError
from stickers.evaluation.reservation import held_out_key
from stickers.housekeeping.sticker_withdrawal import withdraw_sticker
from stickers.housekeeping.withdrawal import carry_out
from stickers.housekeeping.withdrawn import Withdrawn, warning_of
from stickers.prompts.sticker_tables import Stickers, make_sticker
from stickers.video.codec import decode_picture
from tests.support.latents import numbered
from tests.support.old_runs import (
    DISTILLED,
    EXPORTED,
    PLAN,
    REGENERATION,
    STUDENT,
    copy_artifact,
    copy_runs,
)
from tests.support.old_runs import (
    KEPT as KEPT_SET,
)
from tests.support.old_runs import (
    STICKERS as STICKER_SET,
)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return copy_runs(tmp_path)


def stickers_in(runs: Path, name: str) -> list[Sticker]:
    return records_of(storage.read_table(str(runs / name / "stickers.parquet"), STICKERS), Sticker)


def kept_sticker(runs: Path) -> str:
    (row,) = storage.read_table(str(runs / KEPT_SET / "kept.parquet"), KEPT).to_pylist()
    return str(row["sticker_id"])


def url(runs: Path) -> str:
    return f"sqlite:///{runs}/votes-simulated.db"


def withdraw(runs: Path, name: str, **more: object) -> list[str]:
    """Withdraw a sticker; returns what learned from it."""
    withdrawal = withdraw_sticker(str(runs), name, vote_stores=[url(runs)], **more)  # type: ignore[arg-type]
    carry_out(str(runs), withdrawal, withdrawal.steps)
    return withdrawal.learned


def test_a_kept_sticker_is_followed_to_the_exported_student(runs: Path) -> None:
    latents = runs / "kept-latents" / "abc"
    latents.mkdir(parents=True)
    numbered().save(latents / "latents.safetensors")
    storage.write_record(str(latents), {"kept": KEPT_SET.split("/")[1], "set": "kept"})
    (runs / "report.html").write_text("a page")
    name = kept_sticker(runs)
    assert withdraw(runs, name) == [STUDENT, DISTILLED, EXPORTED]
    assert (
        name not in {row.sticker_id for row in stickers_in(runs, PLAN)} and len(stickers_in(runs, PLAN)) == 1
    )
    assert storage.read_table(str(runs / KEPT_SET / "kept.parquet"), KEPT).num_rows == 0
    pairs = storage.read_table(str(runs / KEPT_SET / "preferences.parquet"), PREFERENCES)
    assert name not in pairs["sticker_id"].to_pylist()
    assert not latents.exists() and not (runs / "report.html").exists()
    assert not list((runs / KEPT_SET).glob("*.safetensors"))
    with pytest.raises(
        UserError, match=r"lost parts to a sticker .*; experiments/annotate.py keep makes it again"
    ):
        warning_of(str(runs / KEPT_SET))
    with pytest.raises(UserError, match="learned from a sticker"):
        warning_of(str(runs / EXPORTED))
    assert not warning_of(str(runs / PLAN))


def test_its_clips_are_gone_and_all_others_are_read_as_before(runs: Path) -> None:
    name = kept_sticker(runs)
    before = Candidates(str(runs / PLAN))
    clips = {row.candidate_id: row.clip for row in before.with_clips(before)}
    withdraw(runs, name)
    after = Candidates(str(runs / PLAN))
    assert [row.candidate_id for row in after] == [row.candidate_id for row in before]
    for row in after.with_clips(after):
        if row.sticker_id == name:
            assert (row.status, row.error, row.clip, row.clip_digest) == (FAILED, WITHDRAWN, None, None)
        else:
            assert row.status == MADE and row.clip == clips[row.candidate_id]
    assert audit_index(str(runs / PLAN)) == []
    assert [
        fault for part in parts_of(str(runs / PLAN)).items() for fault in audit_part(str(runs / PLAN), *part)
    ] == []


def test_jobs_that_wait_and_show_it_leave_the_queue(runs: Path) -> None:
    name = kept_sticker(runs)
    shown = {row.candidate_id for row in Candidates(str(runs / PLAN)) if row.sticker_id == name}

    def jobs_with_it() -> list[str]:
        with VoteStore(url(runs)) as store:
            return [job.job_id for job in store.read(jobs_in) if shown & set(job.candidates)]

    first, *answered = jobs_with_it()
    assert answered
    with VoteStore(url(runs)) as store:
        votes = store.all(retired=True)
        reopen = update(seats).where(seats.c.job_id == first).values(answered=False, holder=None)
        store.write(lambda connection: connection.execute(reopen)).result()
    withdraw(runs, name)
    assert jobs_with_it() == answered, "what is answered shows nothing any more"
    with VoteStore(url(runs)) as store:
        assert store.all(retired=True) == votes, "they name ids and show nothing"


def test_a_sticker_that_nobody_kept_touches_no_student(runs: Path) -> None:
    name = next(row.sticker_id for row in stickers_in(runs, PLAN) if row.sticker_id != kept_sticker(runs))
    assert withdraw(runs, name) == []
    assert storage.read_table(str(runs / KEPT_SET / "kept.parquet"), KEPT).num_rows == 1
    assert not (runs / REGENERATION).exists(), "an unfinished plan with it can never be finished"
    assert (runs / KEPT_SET / "latents.safetensors").exists()
    assert not (runs / KEPT_SET / "all.safetensors").exists(), "it held latents of all clips"


def test_a_student_of_all_clips_learned_from_it_although_nobody_kept_it(runs: Path) -> None:
    name = next(row.sticker_id for row in stickers_in(runs, PLAN) if row.sticker_id != kept_sticker(runs))
    copy_artifact(runs, STUDENT, "students/of-all", inputs=[KEPT_SET, PLAN])
    assert withdraw(runs, name) == ["students/of-all"]


def test_the_same_picture_is_found_by_its_file_and_under_other_prompts(runs: Path, tmp_path: Path) -> None:
    first = stickers_in(runs, STICKER_SET)[0]
    pixels = decode_picture(first.png)
    file = tmp_path / "mine.png"
    Image.fromarray(pixels).save(file, compress_level=1)
    again = make_sticker("another prompt", 1, pixels)
    others = [again, make_sticker("third", 0, 255 - pixels)]
    withdrawal = withdraw_sticker(str(runs), str(file), others=others)
    assert {first.sticker_id, again.sticker_id} <= set(withdrawal.request.stickers)
    carry_out(str(runs), withdrawal, withdrawal.steps)
    assert first.sticker_id not in {row.sticker_id for row in stickers_in(runs, STICKER_SET)}
    withdrawn = Withdrawn.of(str(runs))
    fourth = make_sticker("fourth", 0, pixels)
    assert withdrawn.holds(fourth) and withdrawn.holds(first) and not withdrawn.holds(others[1])
    left = withdrawn.without(Stickers([], [fourth, others[1]], []))
    assert left.stickers == [others[1]]
    with pytest.raises(UserError, match="every sticker was withdrawn"):
        withdrawn.without(Stickers([], [fourth], []))


def test_a_held_out_sticker_leaves_the_evaluations(runs: Path) -> None:
    name = stickers_in(runs, PLAN)[0].sticker_id
    shown, other = (
        runs / "evaluation" / "e" / "items" / f"{held_out_key(sticker)}.parquet"
        for sticker in (name, "other")
    )
    shown.parent.mkdir(parents=True)
    for file in (shown, other):
        file.write_bytes(b"clips")
    storage.write_record(str(runs / "evaluation" / "e"), {"systems": {"student": STUDENT.split("/")[1]}})
    measured = runs / "measured" / "m" / f"{name}-8.parquet"
    measured.parent.mkdir(parents=True)
    measured.write_bytes(b"figures")
    withdraw(runs, name)
    assert not shown.exists() and other.exists() and not measured.exists()
    with pytest.raises(UserError, match=r"experiments/evaluate.py makes it again"):
        warning_of(str(runs / "evaluation" / "e"))


def test_asking_again_finishes_and_an_unknown_sticker_is_named(runs: Path) -> None:
    name = kept_sticker(runs)
    learned = withdraw(runs, name)
    assert withdraw(runs, name) == learned
    with pytest.raises(UserError, match="holds no sticker 'nothing'; give the id of a sticker"):
        withdraw(runs, "nothing")
