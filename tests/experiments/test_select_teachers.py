"""From finished teachers to a recorded choice that candidates.py obeys, through the commands themselves."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from experiments import candidates
from experiments.cli.pilot import KIND, choose_quality, votes_on
from experiments.select_teachers import command, main
from recipes.toy.projects import SMOKE
from recipes.toy.teachers import toy_teachers
from stickers import storage
from stickers.annotation.jobs import build_jobs
from stickers.annotation.store.votes import freeze
from stickers.artifacts.records import Vote
from stickers.candidates.archive import Candidates
from stickers.data.latents import weights_digest
from stickers.diffusion.sampling import SamplerSettings
from stickers.models.unet import VideoUNet
from stickers.training.job import training_name

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAMES = [recipe.name for recipe in toy_teachers(size=32, steps=(3, 5), lr=1e-3)]
#: the smoke project with four teachers, in a file of its own
FOUR_TEACHERS = """
from dataclasses import replace

from recipes.toy.projects import SMOKE
from recipes.toy.teachers import toy_teachers

project = replace(SMOKE, name="four", teachers=toy_teachers(size=32, steps=(3, 5), lr=1e-3))
"""


@pytest.fixture(scope="module")
def project_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("project") / "four_teachers.py"
    path.write_text(FOUR_TEACHERS)
    return str(path)


def train(runs: Path, name: str, seed: int, like: Path) -> None:
    """A finished training with random weights, current under its name: the choosing is what is tested."""
    torch.manual_seed(seed)
    folder = runs / "teachers" / f"{name}-{seed}"
    VideoUNet.from_config(VideoUNet.load_config(like)).save_pretrained(folder / "checkpoint")
    settings = SamplerSettings(
        num_steps=2, guided_steps=1, solver="ddim", num_frames=6, fps=8 if "8fps" in name else 4
    )
    record = {"prediction": "v_prediction", "settings": asdict(settings), "picture_size": 32}
    storage.write_record(
        str(folder), {"name": name, "weights": weights_digest(folder / "checkpoint"), **record}
    )
    storage.set_current(str(runs), "teachers", training_name("four", name), folder.name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_foundations: Path) -> Path:
    """Four finished teachers."""
    folder = tmp_path_factory.mktemp("ensemble") / "runs"
    for seed, name in enumerate(NAMES, start=1):
        train(folder, name, seed, tiny_foundations / "video_unets" / "student")
    return folder


def test_the_command_on_the_page_asks_for_the_same_pilot() -> None:
    line = command("/runs", "tiny", {"quality": "auto", "num-seeds": 2, "num-prompts": None}, ["calm"])
    assert "--choose calm --by 'YOUR NAME'" in line
    line = command("/runs", "tiny", {"quality": "pixels", "num-seeds": 3, "num-prompts": 6}, ["calm"])
    assert "--quality pixels --num-seeds 3 --num-prompts 6 --choose calm" in line


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_from_evidence_to_a_choice_that_candidates_obey(
    runs: Path, project_file: str, tiny_foundations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = {"runs": str(runs), "project": project_file, "foundations": str(tiny_foundations)}
    choose_two = {"choose": tuple(NAMES[:2]), "by": "Ana", "because": "they move alike"}
    with pytest.raises(ValueError, match=r"there is no finished .*plans/.* look at the page"):
        main(**common, **choose_two)
    assert not (runs / "plans").exists() and not (runs / "choices").exists()

    main(**common)
    printed = capsys.readouterr().out
    assert "48 candidates" in printed and "simulated" in printed and "a person chooses" in printed
    (evidence,) = storage.find_records(str(runs), "selection")
    assert evidence.record["simulated"] and evidence.record["quality"] == "truth"
    assert {row["teacher"] for row in evidence.record["figures"]} == set(NAMES)
    assert storage.read_table(storage.join(evidence.uri, "clips.parquet")).num_rows == 48
    page = (runs / "teachers.html").read_text()
    assert page.count("<canvas") == 3 * 4 * 2 and "Nobody has chosen" in page and "simulated" in page
    assert not (runs / "choices").exists(), "a suggestion is nobody's choice"
    assert storage.current(str(runs), "plans", "four") is None, "a pilot is not the project's plan"

    before = {p: p.stat().st_mtime_ns for p in runs.rglob("*") if p.suffix in (".parquet", ".json")}
    for wrong, sentence in (
        ({"choose": ("nobody",)}, r"names 'nobody', which drew no clip .* teachers are: keyword"),
        ({"choose": (NAMES[0], NAMES[0])}, "names a teacher twice"),
        ({"because": " "}, "--because is empty"),
        ({"choose": ()}, "--choose is empty"),
    ):
        with pytest.raises(ValueError, match=sentence):
            main(**common, **choose_two | wrong)
    main(**common, **choose_two)
    after = {p: p.stat().st_mtime_ns for p in runs.rglob("*") if p.suffix in (".parquet", ".json")}
    assert all(after[path] == when for path, when in before.items()), "something was made again"
    (choice,) = storage.find_records(str(runs), "choices")
    assert choice.record["by"] == "Ana" and choice.record["because"] == "they move alike"
    assert choice.record["evidence"] == evidence.folder and choice.record["simulated"]
    assert choice.record["teachers"] == {n: evidence.record["teachers"][n] for n in NAMES[:2]}
    assert "Ana chose" in (runs / "teachers.html").read_text()
    check_obedience(runs, common, tiny_foundations, capsys)


def check_obedience(
    runs: Path, common: dict[str, str], foundations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    candidates.main(**common, dry_run=True)
    printed = capsys.readouterr().out
    assert (
        "2 of 4 teachers on simulated evidence: Ana chose" in printed
        and "2 teachers, 12 candidates" in printed
    )
    candidates.main(**common, teachers=(NAMES[3],), dry_run=True)
    printed = capsys.readouterr().out
    assert "set aside" in printed and "1 teachers, 6 candidates" in printed
    train(runs, NAMES[0], 9, foundations / "video_unets" / "student")
    with pytest.raises(ValueError, match=f"'{NAMES[0]}' as it was in {NAMES[0]}-1 .* it is now {NAMES[0]}-9"):
        candidates.main(**common, dry_run=True)
    with pytest.raises(ValueError, match=r"there is no finished .*plans/"):
        main(**common, choose=(NAMES[0],), by="Ana", because="it is new")
    (runs / "teachers" / "current" / f"{training_name('four', NAMES[1])}.json").unlink()
    train(runs, NAMES[0], 1_000, foundations / "video_unets" / "student")
    storage.set_current(str(runs), "teachers", training_name("four", NAMES[0]), f"{NAMES[0]}-1")
    with pytest.raises(ValueError, match=f"'{NAMES[1]}', which is not finished"):
        candidates.main(**common, dry_run=True)
    storage.set_current(str(runs), "teachers", training_name("four", NAMES[1]), f"{NAMES[1]}-2")


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_votes_count_once_every_clip_was_judged(
    runs: Path, project_file: str, tiny_foundations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = {"runs": str(runs), "project": project_file, "foundations": str(tiny_foundations)}
    main(**common, quality="pixels")
    (pilot,) = (plan for plan in storage.find_records(str(runs), "plans") if plan.record["kind"] == KIND)
    rows = list(Candidates(pilot.uri))
    favourite = {row.candidate_id for row in rows if row.teacher == NAMES[2]}
    votes = [
        Vote(
            job_id=job.job_id,
            annotator="Ana",
            round=1,
            plan_id=job.plan_id,
            shown=list(job.candidates),
            shown_digests=list(job.digests),
            picks=[name for name in job.candidates if name in favourite],
            started_at=NOON,
            submitted_at=NOON,
            simulated=False,
        )
        for job in build_jobs(rows, plan_id=pilot.folder, round_number=1)
    ]
    freeze(votes[:-1], str(runs))
    frozen = votes_on(str(runs), pilot.folder)
    assert len(frozen) == len(votes) - 1 and votes_on(str(runs), "another") == []
    assert choose_quality("auto", frozen, rows, SMOKE.evaluation.truth).name == "truth"
    assert choose_quality("auto", frozen, rows, None).name == "pixels"
    with pytest.raises(ValueError, match="were shown to nobody yet"):
        choose_quality("votes", frozen, rows, SMOKE.evaluation.truth)
    with pytest.raises(ValueError, match="there is no truth for these stickers"):
        choose_quality("truth", [], rows, None)
    freeze(votes, str(runs))
    assert len(votes_on(str(runs), pilot.folder)) == len(votes), "the same vote in two snapshots counts once"
    capsys.readouterr()
    main(**common)
    printed = capsys.readouterr().out
    assert f"a program would take {NAMES[2]} " in printed and "simulated" not in printed
    assert not storage.find_records(str(runs), "selection")[-1].record["simulated"]
