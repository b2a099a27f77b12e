"""Every command that takes a table, a filter or a model from outside refuses one that would run code.

The commands run one after another in one process, each as `python experiments/NAME.py` runs it, because starting one
costs seconds. Ray Data is imported, which teaches pyarrow to unpickle, and whoever asks on the terminal is told "y".
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stickers.artifacts.records import Vote
from tests.support.hostile import PICKLED, pickled_table, with_own_code
from tests.support.plans import finish_plan

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
RUN_ALL = """
import io, json, runpy, sys
import ray.data

commands, results, path = json.load(sys.stdin), [], sys.argv[1]
for argv in commands:
    sys.argv, sys.stdin = argv, io.StringIO("y\\n" * 9)
    try:
        runpy.run_path(argv[0], run_name="__main__")
    except BaseException as error:
        results.append(error.code if isinstance(error, SystemExit) else repr(error))
with open(path, "w") as file:
    json.dump(results, file)
"""


Commands = list[tuple[object, Sequence[object]]]
Outcome = tuple[Any, Sequence[object], Any]


def run_all(commands: Sequence[Sequence[object]], folder: Path) -> list[Any]:
    """The exit codes of scripts, in order: 0, or the sentence of a `SystemExit`, which makes it 1."""
    results = folder / "results.json"
    argvs = [[str(EXPERIMENTS / command[0]), *map(str, command[1:])] for command in commands]
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, str(results)],
        input=json.dumps(argvs), capture_output=True, text=True, timeout=300, cwd=EXPERIMENTS.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(json.loads(results.read_text()))


def table_commands(folder: Path, marker: Path, *, nested: bool) -> Commands:
    """Every command that reads a table, with the one that would be unpickled; each in a column that it reads."""
    runs, target = ("--runs", folder / "runs"), ("--out", folder / "out.csv")
    folder.mkdir()
    (folder / "animations").mkdir()
    frames = [Image.new("RGBA", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(folder / "animations" / "a.gif", save_all=True, append_images=frames[1:])
    (folder / "animations" / "captions.csv").write_text("file,caption\na.gif,a cat\n")
    (folder / "decisions.csv").write_text("file,decision,reason,reviewer,time\na.mp4,accept,,ann,t\n")
    votes = {field.name: "x" for field in fields(Vote)}
    columns: dict[str, dict[str, str]] = {
        "bucket": {"prompt": "a cat"},
        "extra": {"prompt": "a cat", "picture": "a.png", "file": "a.mp4", "caption": "a cat"},
        "caption": {"file": "a.mp4"},
        "picks": votes,
    }
    bucket, extra, caption, picks = (
        pickled_table(folder / f"{name}.parquet", values, marker, name=name, nested=nested)
        for name, values in columns.items()
    )
    return [
        (bucket, ("prompts.py", *runs, "--table", bucket)),
        (extra, ("candidates.py", *runs, "--pictures", extra, "--dry-run")),
        (caption, ("prepare.py", *runs, "--videos", caption)),
        (caption, ("prepare.py", *runs, "--sets", f"mine={caption}")),
        (extra, ("curate.py", "keywords", "--videos", extra, "--any", "cat", *target)),
        (extra, ("curate.py", "review", "--videos", extra, "--apply", folder / "decisions.csv", *target)),
        (
            extra,
            ("new.py", "--videos", folder / "animations", "--stickers", extra, "--out", folder / "project"),
        ),
        (picks, ("annotate.py", "import", *runs, "votes", picks)),
        (picks, ("annotate.py", "import", *runs, "jobs", picks)),
    ]


def filter_commands(folder: Path, marker: Path) -> Commands:
    """A filter for each way to act by one."""
    finish_plan(folder / "runs", 2, ("good",))
    filters = [
        "@x",
        "teacher == @marker",
        f"index.to_csv('{marker}')",
        f"teacher.to_csv('{marker}')",
        f"__import__('os').mkdir('{marker}')",
        "teacher.str.len() > 1",
        "nothing == 1",
    ]
    return [(text, ("candidates.py", "--runs", folder / "runs", "--regenerate", text)) for text in filters]


def model_commands(folder: Path, marker: Path) -> Commands:
    """Every command that loads a model, with one that brings code; and the place that names the code."""
    runs, mapped = ("--runs", folder / "runs"), {"AutoConfig": "own.Settings"}
    model, tokens, artist, inflated = (folder / name for name in ("model", "tokens", "artist", "inflated"))
    for place in (model, tokens, artist, inflated / "unet", inflated / "vae", inflated / "tokenizer"):
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
    with_own_code(model, "config.json", marker, model_type="own", auto_map=mapped)
    with_own_code(tokens, "tokenizer_config.json", marker, auto_map={"AutoTokenizer": ["own.Words", None]})
    with_own_code(
        artist, "model_index.json", marker, _class_name="StableDiffusionPipeline", unet=["own", "UNet"]
    )
    with_own_code(inflated / "tokenizer", "tokenizer_config.json", marker, auto_map=["own.Words", None])
    (folder / "a.mp4").write_text("a video")
    (folder / "v.csv").write_text("file,caption\na.mp4,a cat\n")
    videos, target = ("--videos", folder / "v.csv"), ("--out", folder / "out.csv")
    look = ("neighbours", *videos, "--seeds", folder / "v.csv", "--clip-model", model, *target, *runs)
    return [
        (model / "config.json", ("prompts.py", *runs, "--model", model)),
        (tokens / "tokenizer_config.json", ("prompts.py", *runs, "--model", tokens)),
        (artist / "model_index.json", ("draw.py", *runs, "--model", artist)),
        (model, ("curate.py", *look)),
        (model, ("curate.py", "captions", *videos, "--captioner", model, *target, *runs)),
        (inflated / "tokenizer", ("foundation.py", "--image-model", inflated, "--out", folder / "foundation")),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("doors")


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, list[Outcome]]:
    """By kind of door, what should be refused, the command, and its exit code; `prepared` comes before models."""
    marker = folder / "marker"
    kinds = {
        "tables": [
            *table_commands(folder / "flat", marker, nested=False),
            *table_commands(folder / "nested", marker, nested=True),
        ],
        "filters": filter_commands(folder / "planned", marker),
        "prepared": [("", ("prompts.py", "--runs", folder / "runs"))],
        "models": model_commands(folder, marker),
    }
    results = iter(run_all([command for commands in kinds.values() for _, command in commands], folder))
    return {
        kind: [(refused, command, next(results)) for refused, command in commands]
        for kind, commands in kinds.items()
    }


def test_no_table_is_unpickled(folder: Path, outcomes: dict[str, list[Outcome]]) -> None:
    for table, command, result in outcomes["tables"]:
        sentence = f"error: {table}: column {table.stem!r} is of the type {PICKLED}; accepted: numbers"
        assert str(result).startswith(sentence) and "\n" not in result, command
    assert not (folder / "marker").exists() and not list(folder.rglob("out*.csv"))


def test_one_sentence_after_the_project_is_all_that_a_person_sees_and_the_exit_code_is_1(
    tmp_path: Path,
) -> None:
    table = pickled_table(tmp_path / "p.parquet", {"prompt": "a cat"}, tmp_path / "marker", name="bucket")
    command = [
        sys.executable,
        str(EXPERIMENTS / "prompts.py"),
        "--runs",
        str(tmp_path),
        "--table",
        str(table),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=EXPERIMENTS.parent)
    assert done.returncode == 1 and done.stdout.startswith("project tiny: ") and done.stdout.count("\n") == 1
    assert done.stderr.startswith(f"error: {table}: column 'bucket' is of the type {PICKLED}; accepted: ")
    assert done.stderr.count("\n") == 1 and not (tmp_path / "marker").exists()


def test_no_filter_is_evaluated(folder: Path, outcomes: dict[str, list[Outcome]]) -> None:
    for text, _, result in outcomes["filters"]:
        assert f"of the filter {text!r}" in result and "columns: candidate_id, sticker_id, teacher" in result
        assert "accepted: comparisons of a column with a value" in result and "\n" not in result
    assert not (folder / "marker").exists()
    assert len(list((folder / "planned" / "runs" / "plans").glob("*/record.json"))) == 1


def test_no_model_runs_code_of_its_own(folder: Path, outcomes: dict[str, list[Outcome]]) -> None:
    (_, _, prepared), *_ = outcomes["prepared"]
    assert prepared in (None, 0), prepared
    for path, command, result in outcomes["models"]:
        assert str(result).startswith(f"error: {path}") and " names code to run, " in result, command
        assert "own" in result and "accepted are" in result and "\n" not in result, command
    assert not (folder / "marker").exists() and not (folder / "out.csv").exists()
