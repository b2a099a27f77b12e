"""Somebody with real stickers of their own goes the whole way, and meets nothing of the toy world."""

from dataclasses import dataclass
from pathlib import Path
from shutil import copytree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.trials.stranger import AGAIN, SCREEN, foreign_prompts, foreign_words, main
from recipes.toy.projects import FOUNDATIONS
from stickers import storage
from stickers.candidates.archive import Candidates
from tests.support.clusters import ROOT, blind_cluster, needs_namespaces, submit

#: real animated emoji, of which a few are kept for this test
STICKERS = Path(__file__).parents[2] / "data" / "stickers"
#: what somebody adds to the end of their project
OWN_METRIC = """

from dataclasses import replace

from stickers.evaluation.measures import METRICS, Metric


def opacity(clip_THWC, sticker_HWC):
    return float(clip_THWC[..., 3].mean() / 255)


own = Metric(name="opacity", better="neither", explanation="how much of the picture is covered", measure=opacity)
project = replace(project, evaluation=replace(project.evaluation, metrics=(*METRICS, own)))
"""


def test_the_search_finds_the_toy_world(tmp_path: Path) -> None:
    pq.write_table(pa.table({"caption": ["a teacup", "fox"], "row": [1, 2]}), tmp_path / "captions.parquet")
    (tmp_path / "log.txt").write_text("stage 1 of 2\na cat waving hello\n")
    (tmp_path / "record.json").write_text('{"project": "cups", "class": "ToyVideos"}')
    (tmp_path / "other.json").write_text('{"prompt": "a cat sleeps"}')
    problems = [problem.rpartition("/")[2] for problem in foreign_words(tmp_path)]
    assert problems == [
        "log.txt, line or cell 2: a cat waving hello",
        'record.json, line or cell 1: {"project": "cups", "class": "ToyVideos"}',
    ]
    (problem,) = foreign_prompts(tmp_path, {"a teacup"})
    assert problem.endswith("captions.parquet, column caption: 'fox' was never written")


@dataclass(frozen=True, kw_only=True)
class Way:
    """A whole way that was gone: its folder, exit code and screen."""

    folder: Path
    code: int
    screen: str


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Way:
    """The way of somebody who has six animations and four stickers, at a few steps."""
    folder = tmp_path_factory.mktemp("stranger")
    copytree(FOUNDATIONS / "tiny", folder / "foundation")
    code = main(
        out=folder, stickers=STICKERS, animations=6, stills=4, steps=2, foundation=folder / "foundation"
    )
    return Way(folder=folder, code=code, screen=(folder / SCREEN).read_text())


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.timeout(1800)
def test_real_stickers_go_the_whole_way(way: Way) -> None:
    assert way.code == 0, way.screen
    assert (way.folder / "answer.webp").read_bytes()[:4] == b"RIFF"
    assert "stage 9 of 9: report" in way.screen and "simulated" in way.screen
    plans = storage.find_records(str(way.folder / "runs"), "plans")
    again = [plan for plan in plans if plan.record.get("filter") == AGAIN]
    assert len(plans) == 2 and len(again) == 1
    assert {row.teacher for row in Candidates(again[0].uri)} >= {"teacher-8fps"}


@pytest.mark.long
@needs_namespaces
@pytest.mark.ray
@pytest.mark.timeout(1800)
def test_a_metric_of_the_project_travels_to_a_cluster_that_sees_neither_code_nor_project(
    way: Way, tmp_path: Path
) -> None:
    project, runs = way.folder / "project", way.folder / "runs"
    with (project / "project.py").open("a") as file:
        file.write(OWN_METRIC)
    commands = [
        f"test ! -e {ROOT / 'README.md'}",
        f"test ! -e {project / 'project.py'}",
        f"python experiments/teachers.py --runs {runs} --only teacher-8fps --steps 1",
        f"python experiments/evaluate.py --runs {runs}",
    ]
    environment = project / "runtime-env.yaml"
    with blind_cluster(tmp_path, hidden=(ROOT, project)) as address:
        job = submit(address, "--runtime-env", environment, "--", "sh", "-c", " && ".join(commands))
    assert job.returncode == 0, job.stdout + job.stderr
    evaluation = storage.current(str(runs), "evaluation", "project")
    assert evaluation is not None
    figures = {(row["system"], row["metric"]): row["value"] for row in evaluation.record["figures"]}
    assert 0 < figures["distilled", "opacity"] <= 1 and figures["still", "opacity"] > 0
