"""A training as values: its name changes with recipe, weights and data, and mismatches are refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recipes.toy.projects import TINY
from stickers import storage
from stickers.data.latents import LatentSet
from stickers.data.motion_buckets import MotionBuckets
from stickers.training.job import TrainingJob, licences_behind
from stickers.training.recipe import Recipe


def sets_of(runs: Path) -> dict[str, str]:
    return {path.stem.replace("-", "@"): str(path) for path in (runs / "latents").rglob("*.safetensors")}


def job_of(recipe: Recipe, foundations: Path, runs: Path) -> TrainingJob:
    return TrainingJob.of_recipe(recipe, foundations=str(foundations), sets=sets_of(runs))


def test_digest_follows_recipe_weights_and_data(
    tiny_foundations: Path, prepared_runs: Path, tmp_path: Path
) -> None:
    first = job_of(TINY.teachers[0], tiny_foundations, prepared_runs)
    assert job_of(TINY.teachers[0], tiny_foundations, prepared_runs).digest == first.digest
    digests = {
        first.digest,
        job_of(replace(TINY.teachers[0], seed=99), tiny_foundations, prepared_runs).digest,
    }
    latents = LatentSet.load(dict(first.sets)["artist@32"])
    replace(latents, fps=latents.fps * 2).save(tmp_path / "artist.safetensors")
    sets = sets_of(prepared_runs) | {"artist@32": str(tmp_path / "artist.safetensors")}
    digests.add(TrainingJob.of_recipe(TINY.teachers[0], foundations=str(tiny_foundations), sets=sets).digest)
    config = Path(first.unet, "config.json")
    before = config.read_text()
    config.write_text(json.dumps({**json.loads(before), "note": "changed"}))
    digests.add(job_of(TINY.teachers[0], tiny_foundations, prepared_runs).digest)
    config.write_text(before)
    assert len(digests) == 4


def test_the_shipped_recipes_fit(tiny_foundations: Path, prepared_runs: Path) -> None:
    for recipe in TINY.teachers:
        job_of(recipe, tiny_foundations, prepared_runs).check()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"num_workers": 3}, "a batch of 8 cannot be dealt evenly to 3 workers"),
        ({"foundation": "video_unets/absent"}, "there is no folder .*absent"),
        (
            {"stages": tuple(replace(stage, resolution=64) for stage in TINY.teachers[0].stages)},
            "there is no dataset 'artist@64'; prepared are: artist@32, keyword@32, neighbours@32",
        ),
        (
            {"stages": (replace(TINY.teachers[0].stages[0], datasets=(("secret", 1.0),)),)},
            "there is no dataset 'secret@32'; prepared are: artist@32, keyword@32, neighbours@32",
        ),
    ],
)
def test_unfit_recipe_is_one_sentence(
    tiny_foundations: Path, prepared_runs: Path, change: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        job_of(replace(TINY.teachers[0], **change), tiny_foundations, prepared_runs).check()  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_network_of_another_size_is_refused(
    tiny_foundations: Path, prepared_runs: Path, tmp_path: Path
) -> None:
    job = job_of(TINY.teachers[0], tiny_foundations, prepared_runs)
    config = json.loads(Path(job.unet, "config.json").read_text())
    for name, value, sentence in (
        ("out_channels", 4, "predicts latents of 4 channels, the data have 8"),
        ("in_channels", 9, r"takes 9 input channels \(noisy and image latent\), the data have 16"),
        ("cross_attention_dim", 768, "attends to text of width 768, the data have 16"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, name: value}))
        with pytest.raises(ValueError, match=sentence):
            replace(job, unet=str(tmp_path)).check()


def test_distillation_starts_from_the_student(tiny_foundations: Path) -> None:
    settings = {"num_frames": 6, "fps": 4}
    student = {"prediction": "v_prediction", "settings": settings, "picture_size": 32}
    artifact, sets = storage.Artifact("/runs/students/x", student), {"kept@32": "/k", "all@32": "/a"}
    recipe = replace(TINY.distillations[0], num_frames=6, fps=4)
    job = TrainingJob.of_distillation(recipe, artifact, foundations=str(tiny_foundations), sets=sets)
    assert (job.unet, job.sets) == ("/runs/students/x/checkpoint", (("kept@32", "/k"),))
    assert (job.settings.num_passes(), job.settings.num_frames, job.settings.fps) == (8, 6, 4)
    sentence = (
        "'distilled' asks for 32 pixels, 8 frames at 8 fps; its student 'student' learned 32 pixels, 6 frames"
    )
    with pytest.raises(ValueError, match=sentence):
        TrainingJob.of_distillation(
            TINY.distillations[0], artifact, foundations=str(tiny_foundations), sets=sets
        )


def test_motion_buckets_need_long_videos_and_scores(
    tiny_foundations: Path, prepared_runs: Path, tmp_path: Path
) -> None:
    """HITL clips have eight frames, which permit one rate only (section 3.1.1)."""
    latents = LatentSet.load(prepared_runs / "latents" / "0123456789ab" / "artist-32.safetensors")
    recipe = replace(
        TINY.teachers[0],
        stages=tuple(
            replace(stage, buckets=MotionBuckets(edges=(5.0,), rates=(4, 8)))
            for stage in TINY.teachers[0].stages
        ),
    )
    track = torch.zeros(64, 3)
    cases = {
        "have 8 frames or fewer": replace(latents, length=torch.tensor([8, 8])),
        "knows no motion scores": latents,
        "has no vmaf score": replace(latents, track=track.fill_(torch.nan)),
    }
    for message, changed in cases.items():
        names = [name for name, _ in job_of(recipe, tiny_foundations, prepared_runs).sets]
        changed.save(tmp_path / "set.safetensors")
        sets = dict.fromkeys(names, str(tmp_path / "set.safetensors"))
        job = TrainingJob.of_recipe(recipe, foundations=str(tiny_foundations), sets=sets)
        with pytest.raises(ValueError, match=message):
            job.check()


def test_licences_come_from_the_foundation_and_the_collections_that_are_read(
    tiny_foundations: Path, prepared_runs: Path
) -> None:
    record = prepared_runs / "latents" / "0123456789ab" / storage.RECORD
    stated = {"artist": "CC-BY-4.0", "keyword": "", "unread": "GPL-3.0"}
    changed = json.loads(record.read_text()) | {"licences": stated, "stand_ins": {"neighbours": "artist"}}
    record.write_text(json.dumps(changed))
    job = job_of(TINY.teachers[0], tiny_foundations, prepared_runs)
    read = {name.partition("@")[0] for name, _ in job.sets}
    assert licences_behind(job, str(prepared_runs), "MIT") == {
        "foundation": "MIT",
        **{
            f"collection {'artist' if name == 'neighbours' else name}": stated.get(name, "CC-BY-4.0")
            for name in read
        },
    }


def test_licences_of_a_kept_set_pass_through_students_to_the_distilled(
    tiny_foundations: Path, prepared_runs: Path
) -> None:
    runs = str(prepared_runs)
    kept = prepared_runs / "kept" / "0123456789ab"
    licences = {"foundation": "MIT", "collection artist": "CC0", "stickers": "CC-BY-4.0"}
    (kept / storage.RECORD).write_text(json.dumps({"licences": licences, "project": "tiny"}))
    sets = {"kept@32": str(kept / "latents.safetensors")}
    job = TrainingJob.of_recipe(TINY.students[0], foundations=str(tiny_foundations), sets=sets)
    assert licences_behind(job, runs, "MIT") == licences
    student = storage.join(runs, "students", "s-1")
    storage.write_record(student, {"licences": {"collection more": "BSD-3-Clause"}})
    distilled = replace(job, role="distilled", unet=storage.join(student, "checkpoint"))
    assert licences_behind(distilled, runs, "MIT") == {**licences, "collection more": "BSD-3-Clause"}
