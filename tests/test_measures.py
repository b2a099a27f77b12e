"""The script that measures the house counts what it says it counts, on trees small enough to count by hand."""

import subprocess
import sys
from pathlib import Path

import measures
import pytest
from mirrors import measure_mirrors, mirror_path, read_mirrors, run_mirrors

ROOT = Path(__file__).resolve().parent.parent


def write(root: Path, files: dict[str, str]) -> Path:
    """A checkout under `root` with our five packages, a README of three words and `files`."""
    packages = {f"{base}/{package}/__init__.py": "" for package, base in measures.PACKAGES.items()}
    for path, text in {**packages, "README.md": "three words here\n", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def house(*arguments: object) -> str:
    """The output of the script."""
    command = [sys.executable, str(ROOT / ".ci" / "house.py"), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


NAMES = """
import numpy as each
class Found:
    seen: int = 0
    def __init__(self, place, votes):
        self._made = votes
        self.rows = place
def read(*left, out=1):
    for some_row in left:
        with open(some_row) as told:
            pass
    try:
        return [said for said in left]
    except ValueError as what:
        print(what.given, out)
"""


def test_a_vague_name_counts_where_it_is_set(tmp_path: Path) -> None:
    root = write(tmp_path, {"serve/names.py": NAMES, "tests/test_names.py": "found = votes = 1\n"})
    vague = measures.measure_vague(root)
    assert sorted(line.split()[1] for line in vague.places) == sorted(
        ["each", "Found", "seen", "place", "_made", "left", "out", "told", "said", "what"]
    )
    # fifteen names are set: the ten, __init__, votes, rows, read and some_row
    assert vague.value == pytest.approx(1000 * 10 / 15)
    assert measures.measure_vague(root, "vague-tests").value == pytest.approx(500)


DOCSTRINGS = '''
def explained():
    """Reads."""
    def nested(): ...
def bare(): ...
def _private(): ...
class Bare:
    def method(self): ...
    @override
    def inherited(self): ...
    def __len__(self): ...
class _Private:
    def method(self): ...
'''


def test_public_definitions_without_docstring(tmp_path: Path) -> None:
    missing = measures.measure_docstrings(write(tmp_path, {"actors/code.py": DOCSTRINGS}))
    assert [line.split()[1] for line in missing.places] == ["bare", "Bare", "Bare.method"]
    assert missing.value == pytest.approx(75)


NUMBERS = """
LIMIT = 30
class Settings:
    size: int = 40
    def area(self, scale: int = 50) -> int:
        half = self.size / 2 - -1
        def inner(step=60):
            return step * 7
        return half * 1_000 + inner(8) + bool(True)
"""


def test_numbers_in_bodies_are_magic(tmp_path: Path) -> None:
    files = {"serve/code.py": NUMBERS, "recipes/values.py": NUMBERS, "platform/stickers/toy/dice.py": NUMBERS}
    magic = measures.measure_magic(write(tmp_path, files))
    assert magic.places == ("serve/code.py:8 7", "serve/code.py:9 8")
    assert magic.value == pytest.approx(1000 * 2 / len(NUMBERS.splitlines()))


def test_the_longest_function_and_the_fullest_folder(tmp_path: Path) -> None:
    long = "def short(): ...\n@cache\ndef long():\n    '''Long.'''\n    return 1\n"
    files = {"serve/a.py": long, "serve/b.py": "", "tests/test_a.py": ""}
    root = write(tmp_path, files)
    assert measures.measure_longest(root).places[0] == "serve/a.py:3 long: 3 lines"
    assert measures.measure_folders(root).places[0] == "serve: 3 files"


def test_circles_hide_neither_in_functions_nor_behind_type_checking(tmp_path: Path) -> None:
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from serve import b\n"
    files = {
        "serve/a.py": typed,
        "serve/b.py": "def late():\n    from serve.c import thing\n",
        "serve/c.py": "import serve.a\nthing = 1\n",
        "serve/d.py": "from serve import a, b, c\n",
    }
    root = write(tmp_path, files)
    assert house("--root", root, "--list", "circles").strip() == "serve.a ↔ serve.b ↔ serve.c"


def test_the_table_sets_two_checkouts_side_by_side(tmp_path: Path) -> None:
    before = write(tmp_path / "before", {"serve/a.py": "found = 1\n"})
    after = write(tmp_path / "after", {"serve/a.py": "votes = 1\n\ndef read():\n    '''Reads.'''\n"})
    (before / "serve/a.py").write_text("found = 1\n\ndef read(): ...\n")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in house("--root", after, "--before", before).splitlines()
    ]
    assert rows[0] == ["", "bar", "before", "after"]
    assert ["vague names in a thousand", "≤ 8", "500", "0"] in rows
    assert ["public functions and classes without docstring", "≤ 3 %", "100 %", "0 %"] in rows
    assert ["words of the README", "≤ 700", "3", "3"] in rows
    assert rows[-1][1:] == ["≥ 90 %", "not measured", "not measured"]


def test_a_mirror_test_lies_on_its_module_s_path() -> None:
    assert mirror_path("platform/stickers/pipeline.py") == "tests/test_pipeline.py"
    assert mirror_path("platform/stickers/video/codec.py") == "tests/video/test_codec.py"
    assert mirror_path("serve/student/__init__.py") == "tests/serve/test_student.py"
    assert mirror_path("recipes/paper.py") == "tests/recipes/test_paper.py"


COMMAND = """
def count(number):
    total = 0
    for step in range(number):
        total += step
    return total
if __name__ == "__main__":
    print(count(3))
"""
IN_PROCESS = "from serve.a import count\ndef test_count():\n    assert count(3) == 3\n"
IN_A_PROCESS_OF_ITS_OWN = """
import subprocess, sys
import serve.b
def test_command():
    assert subprocess.check_output([sys.executable, serve.b.__file__]) == b"3\\n"
"""


def test_mirror_tests_run_once_and_count_the_lines_of_their_own_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # their imports take seconds a run
    files = {
        **{f"serve/{name}.py": COMMAND for name in "abcde"},
        "tests/serve/test_a.py": IN_PROCESS,
        "tests/serve/test_b.py": IN_A_PROCESS_OF_ITS_OWN,
        "tests/serve/test_c.py": "import serve.c\ndef test_nothing():\n    assert serve.c\n",
        "tests/serve/test_d.py": IN_PROCESS,
        "pytest.ini": "[pytest]\npythonpath = .\n",
    }
    root, store = write(tmp_path / "tree", files), tmp_path / "house.json"
    run_mirrors(root, store, jobs=2)
    mirrors = measure_mirrors(root, store)
    assert mirrors.value == pytest.approx(100 * 2 / 5)
    objections = dict(line.split(": ", 1) for line in mirrors.places)
    assert objections["serve/c.py"] == "tests/serve/test_c.py runs 2 of 7 lines"
    assert objections["serve/d.py"] == "tests/serve/test_d.py does not import it"
    assert objections["serve/e.py"] == "tests/serve/test_e.py is missing"

    stored = store.stat().st_mtime_ns
    run_mirrors(root, store, jobs=2)
    assert store.stat().st_mtime_ns == stored

    (root / "serve/a.py").write_text(COMMAND + "# changed\n")
    (root / "tests/serve/test_b.py").write_text("import serve.b\ndef test_b():\n    assert not serve.b\n")
    read_mirrors.cache_clear()
    measures.read_code.cache_clear()
    changed = measure_mirrors(root, store).places
    assert changed[0] == "serve/a.py: tests/serve/test_a.py has not run since one of the two changed"
    run_mirrors(root, store, jobs=2)
    again = measure_mirrors(root, store).places
    assert again[0].startswith("serve/b.py: tests/serve/test_b.py does not pass: 1 failed")
