"""The way of somebody with stickers of their own: `python experiments/trials/stranger.py --out FOLDER`.

Fetches real animated stickers, takes some of them as a person would, writes a project with `new.py`, runs the
quickstart with people simulated at random, makes a part of the candidates again, serves the student and asks it for an
animation. Then every file that came of it is searched: nothing may speak of the toy world, and every prompt is the
person's own.
"""

import csv
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import httpx
import pyarrow as pa
from rich.markup import escape
from rich.table import Table

from actors.screen import console
from experiments.cli.options import run_script
from experiments.cli.stages import Stages
from recipes.toy.world import SUBJECTS, words
from serve.standalone import listen
from stickers import storage
from stickers.errors import UserError
from stickers.storage.outside import open_table

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("fetch", "take", "new", "quickstart", "regenerate", "serve", "search")
CAPTIONS, PROMPTS = "captions.csv", "prompts.csv"
SCREEN = "screen.txt"
#: which candidates of the plan are made again
AGAIN = "teacher == 'teacher-8fps'"
#: what is read as text; pictures, weights and latents hold no words
TEXTS = {".csv", ".html", ".json", ".log", ".md", ".py", ".txt", ".yaml", ".yml"}
DATABASES = {".db", ".sqlite"}
#: pictures inside a page, whose letters may spell anything
ENCODED = re.compile(r"base64,[A-Za-z0-9+/=]+")
#: columns that hold what a person wrote
WRITTEN = ("prompt", "caption")
SERVE_SECONDS = 180


def main(
    out: Path,
    stickers: Path | None = None,
    animations: int = 60,
    stills: int = 20,
    steps: int | None = None,
    foundation: Path | None = None,
) -> int:
    """Go the whole way in an empty folder. The exit code is 1 where the search finds something.

    Args:
        out: where everything goes; the same command goes on where it was stopped.
        stickers: a folder that `fetch_stickers.py` has written; by default one is fetched below `out`.
        animations: how many animations the person has.
        stills: how many stickers they want animated.
        steps: optimiser steps of each training; by default those of new.py.
        foundation: folder of networks to start from; by default that of new.py.
    """
    out = out.expanduser().resolve()
    out.mkdir(parents=True, exist_ok=True)
    screen, stages = out / SCREEN, Stages(*STAGES)
    project, runs = out / "project" / "project.py", out / "runs"
    stages.begin("fetch")
    if stickers is None:
        stickers = out / "fetched"
        run(screen, "fetch_stickers.py", "--folder", stickers)
    stages.begin("take")
    captions = take(stickers / "animations" / "train", CAPTIONS, out / "animations", animations)
    prompts = take(stickers / "stills" / "train", PROMPTS, out / "stills", stills)
    stages.begin("new")
    if not project.exists():
        folders = ("--videos", out / "animations", "--stickers", out / "stills" / PROMPTS)
        given = {"--steps": steps, "--foundation": foundation}
        options = [word for option, value in given.items() if value is not None for word in (option, value)]
        run(screen, "new.py", *folders, "--out", project.parent, "--people", "random", *options)
    stages.begin("quickstart")
    ours = ("--project", project, "--runs", runs)
    run(screen, "quickstart.py", *ours)
    stages.begin("regenerate")
    run(screen, "candidates.py", *ours, "--regenerate", AGAIN)
    stages.begin("serve")
    with served(screen, runs) as address:
        ask(address, out / "stills", prompts, out / "answer.webp")
    stages.begin("search")
    problems = [
        *foreign_words(out, inputs=tuple(filter(None, (stickers, foundation)))),
        *foreign_prompts(runs, {*captions.values(), *prompts.values()}),
    ]
    show(problems, out)
    return 1 if problems else 0


def run(screen: Path, script: str, *arguments: object) -> None:
    """A command as a person gives it; what it prints is shown and kept. UserError when it fails."""
    command = [sys.executable, str(ROOT / "experiments" / script), *map(str, arguments)]
    with screen.open("a", buffering=1) as copy:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=screen.parent
        )
        assert process.stdout is not None
        for line in process.stdout:
            console.out(line, end="", highlight=False)
            copy.write(line)
    if process.wait():
        raise UserError(f"{script} failed with exit code {process.returncode}; its output stands above")


def take(folder: Path, table: str, target: Path, count: int) -> dict[str, str]:
    """Copy the first pictures of a folder with their rows of its table. Returns the text of each by file name."""
    columns = ("file", "caption") if table == CAPTIONS else ("picture", "prompt")
    picture, text = columns
    source = open_table(folder / table, needed=columns)
    rows = [{name: str(row.values[name]) for name in columns} for row in islice(source.rows(columns), count)]
    if len(rows) < count:
        raise UserError(f"{folder} holds {len(rows)} pictures, {count} are asked for")
    target.mkdir(exist_ok=True)
    for row in rows:
        shutil.copy2(folder / row[picture], target)
    with (target / table).open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return {row[picture]: row[text] for row in rows}


@contextmanager
def served(screen: Path, runs: Path) -> Iterator[str]:
    """The student under HTTP, by the command that people use; its address."""
    with listen(0) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        str(ROOT / "experiments" / "host.py"),
        "--runs",
        str(runs),
        "--port",
        str(port),
    ]
    address = f"http://127.0.0.1:{port}"
    with screen.open("a") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=screen.parent)
    try:
        transport = httpx.HTTPTransport(retries=SERVE_SECONDS)
        with httpx.Client(transport=transport, timeout=SERVE_SECONDS) as client:
            client.get(f"{address}/healthz").raise_for_status()
        yield address
    finally:
        process.terminate()
        process.wait()


def ask(address: str, folder: Path, prompts: dict[str, str], answer: Path) -> None:
    """One animation of the first sticker, and the pages that people see, all kept as files."""
    picture, prompt = next(iter(prompts.items()))
    with httpx.Client(base_url=address, timeout=SERVE_SECONDS) as client:
        files = {"picture": (folder / picture).read_bytes()}
        animation = client.post("/v1/animate", files=files, data={"prompt": prompt}).raise_for_status()
        answer.write_bytes(animation.content)
        for page in ("/", "/docs", "/openapi.json"):
            name = f"page{page.replace('/', '-')}.html"
            answer.with_name(name).write_text(client.get(page).raise_for_status().text)
    console.print(f"{prompt!r} is animated in {answer}", highlight=False, soft_wrap=True)


def is_foreign(text: str) -> bool:
    """Whether a line speaks of the toy world: by name, or in one of its sentences."""
    line = ENCODED.sub("", text).lower()
    if "toy" in line:
        return True
    phrases = [phrase for choices in words.PHRASES.values() for phrase in choices]
    return any(f"{subject} {phrase}" in line for subject in SUBJECTS if subject in line for phrase in phrases)


def foreign_words(folder: Path, *, inputs: Sequence[Path] = ()) -> Iterator[str]:
    """Where the files of a folder speak of the toy world: texts, cells of tables and of databases, names of files.

    Folders of `inputs` are left out.
    """
    for path in sorted(folder.rglob("*")):
        # a job's folder is links to the platform itself
        if path.is_dir() or "job" in path.relative_to(folder).parts:
            continue
        if any(path.is_relative_to(source) for source in inputs):
            continue
        if is_foreign(str(path.relative_to(folder))):
            yield f"{path}: its name"
        for number, text in enumerate(texts_of(path), start=1):
            if is_foreign(text):
                yield f"{path}, line or cell {number}: {text.strip()[:160]}"


def texts_of(path: Path) -> Iterator[str]:
    """Lines of a text, or text cells of a table or database; nothing of another file."""
    if path.suffix in TEXTS or path.parent.name == "tags":
        yield from path.read_text(errors="replace").splitlines()
    elif path.suffix == ".parquet":
        for column in storage.read_table(str(path)).columns:
            yield from cells(column)
    elif path.suffix in DATABASES:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            tables = [
                name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            for name in tables:
                for row in database.execute(f'SELECT * FROM "{name}"'):
                    yield from (cell for cell in row if isinstance(cell, str))


def cells(column: pa.ChunkedArray) -> Iterator[str]:
    """The texts of a column, also those inside its lists and structs."""
    if any(kind in str(column.type) for kind in ("string", "utf8")):
        yield from (str(value) for value in column.to_pylist() if value is not None)


def foreign_prompts(runs: Path, own: set[str]) -> Iterator[str]:
    """Prompts and captions of any table that the person did not write."""
    for path in sorted(runs.rglob("*.parquet")):
        table = storage.read_table(str(path))
        for name in set(WRITTEN) & set(table.column_names):
            for text in sorted({*filter(None, table[name].to_pylist())} - own):
                yield f"{path}, column {name}: {text!r} was never written"


def show(problems: list[str], out: Path) -> None:
    """The result in words, and where to look."""
    table = Table(title="what the search finds")
    table.add_column("place", overflow="fold")
    for problem in problems:
        table.add_row(escape(problem))
    if problems:
        console.print(table)
    else:
        console.print("nothing speaks of the toy world, and every prompt is the person's own")
    for name in (SCREEN, "runs/report.html", "answer.webp"):
        console.print(f"look at {out / name}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_script(main)
