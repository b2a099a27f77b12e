"""The paper's project, shrunk: four teachers of three legs, drawn stickers and distillation, all stages in order."""

import csv
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from shutil import copytree

import pytest
import tyro

from actors.cluster import connect
from actors.tracking import resolve
from experiments.quickstart import stages_of
from recipes.paper import PAPER, PAPER_TEACHERS
from stickers import storage
from stickers.candidates.archive import Candidates
from stickers.pipeline import AnimationPipeline
from stickers.project import load_project
from tests.conftest import byte_tokenizer
from tests.support.text_to_image import save_pipeline

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(1500)]
STICKERS = Path(__file__).parents[1] / "data" / "stickers"
#: pixels a side; teachers draw at twice the students' size, as in the paper
STUDENT_SIZE, TEACHER_SIZE = 32, 64
FILE = """
from dataclasses import replace

from recipes.paper import Dimensions, build
from stickers.annotation.simulated import RandomPeople

dimensions = Dimensions(
    teacher_size={teacher_size},
    student_size={student_size},
    batch_size=2,
    early_steps=1,
    late_steps=1,
    student_steps=2,
    distillation_steps=2,
    warmup_steps=1,
    num_workers=1,
    checkpoint_every=100,
    num_prompts=2,
    consistency="consistency",
    motion="motion",
    students=("student",),
    precision="fp32",
    zero_stage=0,
)
project = replace(
    build(dimensions, name="shrunk", shared={shared!r}), people=RandomPeople(share=0.9)
)
"""


@pytest.fixture(scope="module")
def project_file(
    tiny_foundations: Path, author_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What every machine of the paper's cluster sees in one folder, and a project file that names it."""
    folder = tmp_path_factory.mktemp("paper")
    shared = folder / "shared"
    copytree(tiny_foundations, shared / "foundation")
    copytree(author_folder, shared / "language-model")
    save_pipeline(shared / "text-to-image", byte_tokenizer(folder), square=True)
    for name in ("artist", "keyword", "neighbours"):
        copytree(STICKERS / "animations" / "train", shared / "videos" / name)
    copytree(STICKERS / "stills" / "train", shared, dirs_exist_ok=True)
    with (shared / "held-out.csv").open("w", newline="") as file:
        rows = [("prompt", "picture"), ("a battery waving", "battery_1f50b.webp")]
        csv.writer(file).writerows(rows)
    path = folder / "shrunk.py"
    path.write_text(FILE.format(teacher_size=TEACHER_SIZE, student_size=STUDENT_SIZE, shared=str(shared)))
    return path


@pytest.fixture(scope="module")
def runs(project_file: Path) -> Iterator[Path]:
    """The runs folder after all stages, which share one Ray cluster to save its starts."""
    runs = project_file.parent / "runs"
    project, _ = load_project(project_file)
    with connect():
        for stage in stages_of(project):
            arguments = ["--runs", str(runs), "--project", str(project_file)]
            assert not tyro.cli(import_module(f"experiments.{stage}").main, args=arguments), stage
        yield runs


def records(runs: Path, kind: str) -> list[storage.Artifact]:
    return storage.find_records(str(runs), kind)


def test_teachers_are_those_of_the_paper_and_draw_at_twice_the_size(runs: Path) -> None:
    teachers = records(runs, "teachers")
    assert {row.record["name"] for row in teachers} == {recipe.name for recipe in PAPER_TEACHERS}
    assert {row.record["picture_size"] for row in teachers} == {TEACHER_SIZE}
    assert PAPER.teacher_size == 2 * PAPER.student_size
    assert all(recipe.num_steps == 25_000 - 5_000 for recipe in PAPER_TEACHERS)


def test_drawn_stickers_are_animated_and_the_student_learns_at_its_own_size(runs: Path) -> None:
    (plan,) = records(runs, "plans")
    rows = [row for row in Candidates(plan.uri) if row.status == "made"]
    assert {row.teacher for row in rows} == {recipe.name for recipe in PAPER_TEACHERS}
    (student,) = records(runs, "students")
    assert student.record["picture_size"] == STUDENT_SIZE
    pipeline = AnimationPipeline.load(resolve("models:/animated-stickers-student@champion", str(runs)))
    assert pipeline.picture_size == STUDENT_SIZE and pipeline.settings.num_passes() == 8


def test_the_evaluation_compares_student_and_distilled(runs: Path) -> None:
    (evaluation,) = records(runs, "evaluation")
    assert {"student-student", "distilled-student"} <= {row["system"] for row in evaluation.record["figures"]}
    assert "simulated" in (runs / "report.html").read_text()
