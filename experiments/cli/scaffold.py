"""What `experiments/new.py` writes and checks: a commented project, its split of stickers, and a folder for jobs."""

import csv
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from string import Template

from PIL import Image, UnidentifiedImageError

from actors.trainer import REVISION, code_revision
from experiments.cli.project_choice import ENVIRONMENT
from stickers.data.collections import CAPTIONS, Listed, list_collection
from stickers.errors import UserError
from stickers.models.folders import network_names
from stickers.prompts.sorting import BUCKETS
from stickers.storage import read_json
from stickers.storage.outside import open_table
from stickers.training.job import ROOT

PROJECT_FILE = "project.py"
STICKERS, HELD_OUT = "stickers.csv", "held-out.csv"
PICTURES = (".png", ".webp", ".jpg", ".jpeg")
COLUMNS = ("prompt", "picture", "bucket")
#: names under which a licence lies beside the data that it is of
LICENCE_FILES = ("LICENCE", "LICENSE", "LICENCE.txt", "LICENSE.txt", "LICENCE.md", "LICENSE.md")
#: folders of code that a job carries
CODE = ("platform", "actors", "recipes", "serve", "experiments")
#: the job's own folder in a project's: code and project side by side
JOB = "job"


@dataclass(frozen=True, kw_only=True)
class StickerRow:
    """A picture to animate, with the size and mode that its header gives."""

    prompt: str
    picture: str
    bucket: str
    width: int
    height: int
    has_alpha: bool


def list_stickers(source: Path) -> tuple[list[StickerRow], list[str]]:
    """The pictures of a folder with a captions.csv (file, caption), or of a table with columns prompt and picture.

    Returns:
        The usable rows, and a sentence for each of the others.

    Raises:
        UserError: `source` does not exist, has no captions, or has no usable row.
    """
    folder, pairs = _pairs(source)
    rows: list[StickerRow] = []
    refused: list[str] = []
    for number, (prompt, picture, bucket) in enumerate(pairs, start=1):
        path = folder / picture
        try:
            rows.append(_sticker(prompt, path, bucket))
        except UserError as error:
            refused.append(f"{source}, row {number}: {error}")
    if not rows:
        raise UserError(f"{source} holds no usable sticker; {refused[0] if refused else 'it is empty'}")
    return rows, refused


def _pairs(source: Path) -> tuple[Path, list[tuple[str, str, str]]]:
    if source.is_dir():
        table, columns = source / CAPTIONS, ("caption", "file")
        if not table.exists():
            raise UserError(f"{source} has no {CAPTIONS}; it needs the columns file and caption")
    elif source.is_file():
        table, columns = source, ("prompt", "picture")
    else:
        raise UserError(f"there are no stickers at {source}; give a folder with a {CAPTIONS}, or a table")
    prompt, picture = columns
    rows = [
        (str(values[prompt] or ""), str(values[picture] or ""), str(values.get("bucket") or ""))
        for values in (row.values for row in open_table(table, needed=columns).rows((*columns, "bucket")))
    ]
    return table.parent, [
        row for row in rows if Path(row[1]).suffix.lower() in PICTURES or not source.is_dir()
    ]


def _sticker(prompt: str, path: Path, bucket: str) -> StickerRow:
    if not prompt.strip():
        raise UserError(f"{path.name} has no prompt")
    try:
        with Image.open(path) as image:
            has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            width, height = image.size
    except FileNotFoundError:
        raise UserError(f"there is no picture {path}") from None
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(f"{path} is no picture that can be read: {error}") from error
    return StickerRow(
        prompt=prompt.strip(),
        picture=str(path.resolve()),
        bucket=bucket.strip() or BUCKETS[-1],
        width=width,
        height=height,
        has_alpha=has_alpha,
    )


def split(rows: list[StickerRow], share: float) -> tuple[list[StickerRow], list[StickerRow]]:
    """Stickers to animate and held-out ones, by the hash of their prompts: the same in every run.

    Raises:
        UserError: there are fewer than two prompts.
    """
    prompts = sorted({row.prompt for row in rows}, key=lambda prompt: blake2b(prompt.encode()).digest())
    if len(prompts) < 2:
        raise UserError(
            f"a project needs stickers of two prompts or more, one of them to hold out; got {len(prompts)}"
        )
    held_out = set(prompts[: max(1, round(share * len(prompts)))])
    return [row for row in rows if row.prompt not in held_out], [
        row for row in rows if row.prompt in held_out
    ]


def write_stickers(path: Path, rows: list[StickerRow]) -> None:
    """A table of stickers as projects read them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((row.prompt, row.picture, row.bucket) for row in rows)


def list_videos(source: Path) -> list[Listed]:
    """The videos of a collection.

    Raises:
        UserError: there is none, or none has a caption.
    """
    videos = list(list_collection(str(source), "videos"))
    if not any(video.caption for video in videos):
        raise UserError(
            f"none of the {len(videos)} videos in {source} has a caption; write a {CAPTIONS} (file, caption)"
        )
    return videos


@dataclass(frozen=True, kw_only=True)
class Networks:
    """The networks of a foundation folder: where teachers and the student start from, and what they predict."""

    teachers: tuple[str, ...]
    student: str
    prediction: str
    size: int


def networks_of(foundation: Path) -> Networks:
    """The networks of a foundation: the smallest is for the student, the others for teachers.

    Raises:
        UserError: it has none.
    """
    names = network_names(foundation)
    if not names:
        raise UserError(
            f"{foundation} is no foundation: it has no network in video_unets; experiments/foundation.py makes one"
        )
    folders = [foundation / "video_unets" / name for name in names]
    folders.sort(key=lambda folder: sum(file.stat().st_size for file in folder.glob("*.safetensors")))
    record = folders[0] / "record.json"
    facts = read_json(str(record)) if record.exists() else {}
    student, *teachers = [folder.name for folder in folders]
    return Networks(
        teachers=tuple(sorted(teachers)) or (student,),
        student=student,
        prediction=facts.get("prediction", "v_prediction"),
        size=facts.get("picture_size", 64),
    )


def describe_stickers(rows: list[StickerRow], size: int) -> list[str]:
    """Sentences about the stickers for their user, before anything is drawn."""
    sentences = []
    opaque = [row for row in rows if not row.has_alpha]
    if opaque:
        sentences.append(
            f"{len(opaque)} of {len(rows)} stickers have no alpha (the first: {Path(opaque[0].picture).name}): a plain "
            "background is cut out, any other stays"
        )
    oblong = [row for row in rows if row.width != row.height]
    if oblong:
        sentences.append(
            f"{len(oblong)} of {len(rows)} stickers are not square (the first: {Path(oblong[0].picture).name}, "
            f"{oblong[0].width} x {oblong[0].height}): they are filled up with transparency, opaque ones cropped"
        )
    small = [row for row in rows if min(row.width, row.height) < size]
    if small:
        sentences.append(
            f"{len(small)} of {len(rows)} stickers are smaller than the {size} pixels of the networks"
        )
    sizes = Counter((row.width, row.height) for row in rows)
    (common, count), *_ = sizes.most_common(1)
    sentences.append(f"{len(sizes)} sizes of stickers, most of them {common[0]} x {common[1]} ({count})")
    return sentences


def write_job_folder(folder: Path) -> Path:
    """Write a folder with code and project side by side for `ray job submit`, and its runtime environment.

    The folder holds links; Ray packs their targets. Jobs carry the revision of the code.
    """
    job = folder / JOB
    job.mkdir(exist_ok=True)
    for name in (*CODE, "pyproject.toml"):
        _link(job / name, ROOT / name)
    for name in (PROJECT_FILE, STICKERS, HELD_OUT):
        _link(job / name, folder / name)
    environment = folder / "runtime-env.yaml"
    environment.write_text(
        "# ray job submit --runtime-env runtime-env.yaml -- python experiments/teachers.py --runs /shared/runs\n"
        "# Code and project travel with the job. The videos and the foundation must be where every node sees them.\n"
        f"working_dir: {job}\n"
        "env_vars:\n"
        "  PYTHONPATH: platform\n"
        f"  {ENVIRONMENT}: {PROJECT_FILE}\n"
        f"  {REVISION}: {code_revision()}\n"
        "excludes:\n"
        "  - __pycache__/\n"
    )
    return environment


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target)


def carry_licence(place: Path, out: Path, name: str) -> str:
    """Copy the licence that lies beside videos or stickers into the project, as `licences/NAME.txt`.

    Returns:
        Its first line, by which it is called; empty where there is none.
    """
    folder = place if place.is_dir() else place.parent
    files = [folder / file for file in LICENCE_FILES if (folder / file).is_file()]
    if not files:
        return ""
    text = files[0].read_text(encoding="utf-8", errors="replace")
    target = out / "licences" / f"{name}.txt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def render(
    *,
    name: str,
    videos: Path,
    foundation: Path,
    networks: Networks,
    people: str,
    steps: int,
    size: int,
    video_licence: str,
    sticker_licence: str,
) -> str:
    """The project file, commented."""
    return PROJECT.substitute(
        name=name,
        videos=repr(str(videos)),
        foundation=repr(str(foundation)),
        teachers=repr(tuple(f"video_unets/{network}" for network in networks.teachers)),
        student=repr(f"video_unets/{networks.student}"),
        prediction=repr(networks.prediction),
        people="RandomPeople()" if people == "random" else "People()",
        people_import=(
            "from stickers.annotation.simulated import RandomPeople\n" if people == "random" else ""
        ),
        people_class="" if people == "random" else "People, ",
        steps=steps,
        size=size,
        video_licence=repr(video_licence),
        sticker_licence=repr(sticker_licence),
    )


PROJECT = Template('''"""The project $name. Every script takes it: --project project.py

Relative paths mean places beside this file. Change what you like; a changed recipe trains beside the old one.
`python experiments/quickstart.py --project project.py` runs everything to its end.
"""

${people_import}from stickers.diffusion.sampling import SamplerSettings
from stickers.project import Collection, Evaluation, Foundation, ${people_class}Project
from stickers.prompts.sources import StickerTable
from stickers.training.recipe import Distillation, Recipe, Stage

#: pixels a side at which teachers and students draw
SIZE = $size
#: optimiser steps of each training; more make better networks
STEPS = $steps
#: networks of the foundation that teachers start from
STARTS = $teachers
#: how strongly clips follow picture and prompt
GUIDANCE_IMAGE, GUIDANCE_TEXT = 1.5, 2.5


def sampler(fps: int) -> SamplerSettings:
    return SamplerSettings(guidance_image=GUIDANCE_IMAGE, guidance_text=GUIDANCE_TEXT, fps=fps)


def teacher(fps: int, start: str, seed: int) -> Recipe:
    """Teachers differ in frame rate and in the network they start from, so that they fail in different ways."""
    return Recipe(
        name=f"teacher-{fps}fps",
        role="teacher",
        foundation=start,
        # window="any" samples any part of a video, "halfway" the part around its middle
        stages=(
            Stage(
                steps=STEPS,
                resolution=SIZE,
                fps=fps,
                prediction=$prediction,
                datasets=(("videos", 1.0),),
                window="any",
                lr=1e-3,
            ),
        ),
        seed=seed,
        batch_size=8,
        precision="fp32",
        zero_stage=0,
        checkpoint_every=100,
        sampler=sampler(fps),
    )


project = Project(
    name="$name",
    foundation=Foundation(place=$foundation),
    # videos with captions; several collections, best first, have names that stages ask for
    collections=(Collection(name="videos", place=$videos, licence=$video_licence),),
    # the pictures to animate: columns prompt, picture and optionally bucket
    stickers=StickerTable(table="stickers.csv", licence=$sticker_licence),
    teachers=tuple(teacher(fps, STARTS[i % len(STARTS)], seed=i) for i, fps in enumerate((8, 4))),
    # People() are real people on the annotation page; RandomPeople() show that everything runs
    people=$people,
    students=(
        Recipe(
            name="student",
            role="student",
            foundation=$student,
            stages=(
                Stage(
                    steps=STEPS,
                    resolution=SIZE,
                    fps=8,
                    prediction=$prediction,
                    datasets=(("kept", 1.0),),
                    balance="captions",
                    lr=1e-3,
                ),
            ),
            batch_size=8,
            precision="fp32",
            zero_stage=0,
            checkpoint_every=100,
            sampler=sampler(8),
        ),
    ),
    distillations=(
        Distillation(
            name="distilled",
            student="student",
            steps=max(1, STEPS // 5),
            dataset="kept",
            balance="captions",
            resolution=SIZE,
            batch_size=8,
            lr=4e-4,
            guidance_image=GUIDANCE_IMAGE,
            guidance_text=GUIDANCE_TEXT,
            guided_steps=20,
            precision="fp32",
            zero_stage=0,
        ),
    ),
    # held out: these prompts enter no plan; add metrics=(*METRICS, Metric(...)) for your own figures
    evaluation=Evaluation(stickers=StickerTable(table="held-out.csv", licence=$sticker_licence)),
)
''')
