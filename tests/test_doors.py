"""What comes from outside has one door of each kind: tables, models and texts are read nowhere else."""

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [
    path
    for base in ("platform", "actors", "recipes", "serve", "experiments")
    for path in (ROOT / base).rglob("*.py")
]
READER = "platform/stickers/storage/outside.py"
#: how transformers and diffusers read a folder
LOADERS = ("from_pretrained", "from_single_file")
#: other ways to read tables and objects, or to evaluate a text, with the rule that forbids each
FORBIDDEN = {
    "import pandas": "TID251",
    "import tarfile": "TID251",
    "import pyarrow.csv": "TID251",
    "from csv import DictReader": "TID251",
    "from pyarrow import dataset": "TID251",
    "from pyarrow.parquet import read_table": "TID251",
    "import pyarrow.parquet as pq; pq.ParquetFile(file)": "TID251",
    "import csv; csv.reader(file)": "TID251",
    "import ray; ray.data.read_csv(file)": "TID251",
    "import ray.cloudpickle; ray.cloudpickle.loads(data)": "TID251",
    "import pickle; pickle.loads(data)": "S301",
    "eval(text)": "S307",
    "exec(text)": "S102",
}


@cache
def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """The name of each method or function that a module calls, with the call."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [(getattr(node.func, "attr", getattr(node.func, "id", "")), node) for node in nodes]


def keywords(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


def test_every_load_of_a_model_distrusts_its_code() -> None:
    loads = [(path, call) for path in SOURCES for name, call in calls(path) if name in LOADERS]
    assert len(loads) > 5
    for path, call in loads:
        assert keywords(call).get("trust_remote_code") == "False", f"{path}:{call.lineno}"


def test_every_module_that_loads_a_model_refuses_folders_with_code() -> None:
    shipped = {"experiments/benchmarks/latency.py"}  # reads the shipped tokenizer alone
    for path in SOURCES:
        names = {name for name, _ in calls(path)}
        if names & set(LOADERS) and str(path.relative_to(ROOT)) not in shipped:
            assert "refuse_own_code" in names, path


def test_torch_reads_tensors_alone_and_no_text_is_evaluated() -> None:
    for path in SOURCES:
        for name, call in calls(path):
            if name == "load" and ast.unparse(call.func) == "torch.load":
                assert keywords(call).get("weights_only") == "True", f"{path}:{call.lineno}"
            if name in ("query", "eval"):  # of a data frame; a network's eval() takes nothing
                assert not call.args and not call.keywords, f"{path}:{call.lineno}"


@pytest.mark.parametrize("file", ["platform/stickers/data/new.py", "experiments/new.py", READER])
def test_lint_forbids_the_other_ways(file: str) -> None:
    rules = {rule for rule in FORBIDDEN.values() if (file, rule) != (READER, "TID251")}
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--output-format",
        "json",
        "--stdin-filename",
        file,
    ]
    done = subprocess.run(
        [*command, "-"], input="\n".join(FORBIDDEN), capture_output=True, text=True, cwd=ROOT
    )
    faults = {(fault["location"]["row"], fault["code"]) for fault in json.loads(done.stdout)}
    expected = {(row, rule) for row, rule in enumerate(FORBIDDEN.values(), 1) if rule in rules}
    assert expected <= faults
    assert ("TID251" in rules) == any(code == "TID251" for _, code in faults)
