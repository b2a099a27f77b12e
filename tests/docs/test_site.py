"""The site builds, its links lead somewhere, and what it tells people to type is accepted by what they type it to."""

import ast
import re
import shlex
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image
from sphinx.cmd.build import build_main

from experiments.cli.arguments import argument_problem
from experiments.trials.manifests import split
from stickers.project import load_project

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "platform" / "deploy" / "README.md"])
#: entries of the log keep the names of their day
TODAY = [page for page in PAGES if page.parent != DOCS / "log"]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
#: programs that are not ours, and what a `ray job submit` may be given before the command
FOREIGN = {"curl", "docker", "kubectl", "source", "git", "cd", "pip"}
RAY_JOB = ["ray", "job", "submit"]
RAY_JOB_OPTIONS = {"--runtime-env": 1, "--address": 1, "--working-dir": 1, "--no-wait": 0}
PATHS = re.compile(
    r"(?:experiments|platform|recipes|serve|actors|tests|docs)/[\w./-]*\w(?:\.\w+)?|[\w-]+\.(?:md|toml|lock|yaml)"
)


class Command(NamedTuple):
    """A line that somebody is told to type, and where."""

    page: str
    text: str


class Links(HTMLParser):
    """Where a page leads, what in it can be led to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.anchors.add(str(values["id"]))
        address = values.get("href") or values.get("src")
        if address and tag == "a":
            self.targets.append(address)
        elif address:
            self.loaded.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    options = ["-E", "-q", "-W", "--keep-going", "-b", "html", "-d", str(folder / "trees")]
    assert build_main([*options, str(DOCS), str(folder / "html")]) == 0
    return folder / "html"


def pages_of(site: Path) -> dict[Path, Links]:
    return {page.resolve(): Links(page.read_text()) for page in site.rglob("*.html")}


def test_internal_links_lead_somewhere(site: Path) -> None:
    pages = pages_of(site)
    assert len(pages) > len(list(DOCS.rglob("*.md")))
    broken = []
    for page, links in pages.items():
        for address in [*links.targets, *links.loaded]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchored = not parts.fragment or target not in pages or parts.fragment in pages[target].anchors
            if not (target.is_file() and anchored):
                broken.append((page.name, address))
    assert not broken


def test_pages_load_nothing_from_the_network(site: Path) -> None:
    loaded = {address for links in pages_of(site).values() for address in links.loaded}
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert loaded
    assert not [address for address in loaded if urlsplit(address).netloc]
    assert not re.findall(r"url\(['\"]?(?:https?:)?//[^)]*\)|@import[^;]*//[^;]*", styles)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("commands", ["teachers.py", "annotate.py person", "curate.py neighbours", "--dry-run"]),
        ("trials", ["trials/kills.py", "benchmarks/latency.py", "studies/funnel.py"]),
        ("http", ["POST /v1/animate", "POST /api/next", "picture", "429"]),
        ("tables", ["Candidate", "clip_digest", "frames per second", "Preference"]),
        ("recipes", ["Project", "held out", "Recipe", "SamplerSettings", "guidance_image", "MotionBuckets"]),
    ],
)
def test_the_reference_is_generated(site: Path, page: str, words: list[str]) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "reference" / f"{page}.html").read_text())
    assert not [word for word in words if word not in text]


def fenced(pages: list[Path], *languages: str) -> Iterator[tuple[Path, str]]:
    for page in pages:
        for language, text in FENCE.findall(page.read_text()):
            if language in languages:
                yield page, text


def commands() -> list[Command]:
    """Every command line that is printed in a block, and in today's pages within a sentence."""
    lines = [
        Command(page.relative_to(ROOT).as_posix(), shlex.join(words))
        for page, text in fenced(PAGES, "bash", "sh", "console")
        for line in text.replace("\\\n", " ").splitlines()
        for words in split(shlex.join(shlex.split(line, comments=True)))
        if words
    ]
    inline = [
        Command(page.relative_to(ROOT).as_posix(), text)
        for page in TODAY
        for text in INLINE.findall(FENCE.sub("", page.read_text()))
        if re.match(r"(python |make [a-z])", text) and "NAME" not in text
    ]
    return [*lines, *inline]


def problem(command: Command, targets: set[str]) -> str:
    """Why a command would not be accepted, or nothing."""
    words = shlex.split(command.text)
    words = words[1:] if re.fullmatch(r"[A-Z_]+=\S*", words[0]) else words
    program = words[0].removeprefix(".venv/bin/")
    if words[:3] == RAY_JOB:
        return ray_problem(words[3:])
    if program == "python" and words[1:2] == ["-m"]:
        files = [word for word in words[3:] if "/" in word and not (ROOT / word).exists()]
        return f"there is no {files[0]}" if files else ""
    if program == "python":
        return argument_problem(words[1], words[2:])
    if program == "make":
        unknown = [word for word in words[1:] if "=" not in word and word not in targets]
        return f"there is no target {unknown[0]}" if unknown else ""
    absent = [
        word for word in words if re.match(r"(platform|experiments)/", word) and not (ROOT / word).exists()
    ]
    if absent:
        return f"there is no {absent[0]}"
    return "" if program in FOREIGN else f"{program} is no program that these pages may name"


def ray_problem(words: list[str]) -> str:
    while words[0] != "--":
        if words[0] not in RAY_JOB_OPTIONS:
            return f"ray job submit is not known to take {words[0]}"
        words = words[1 + RAY_JOB_OPTIONS[words[0]] :]
    return argument_problem(words[2], words[3:]) if words[1] == "python" else f"{words[1]} is not python"


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))


def test_printed_commands_are_accepted() -> None:
    targets, lines = make_targets(), commands()
    assert len(lines) > 50
    reasons = {line: problem(line, targets) for line in lines}
    assert not {line: reason for line, reason in reasons.items() if reason}


@pytest.mark.parametrize(
    "text",
    [
        "python experiments/teacher.py",
        "python experiments/teachers.py --dry-runs",
        "python experiments/annotate.py person",
        "python experiments/annotate.py fire ann",
        "python experiments/benchmarks/latency.py factors --speed 3",
        "python -m pytest tests/test_nothing.py",
        "make quickstrat",
        "ray job submit -- python experiments/teachers.py --dry-runs",
        "ray job submit --nowhere -- python experiments/teachers.py",
        "sudo make me a sandwich",
    ],
)
def test_a_wrong_command_is_noticed(text: str) -> None:
    assert problem(Command("", text), make_targets())


def test_ray_jobs_are_those_that_a_test_submits() -> None:
    """Ray's own parser has no public door; tests/experiments/test_jobs.py submits both forms to real clusters."""
    tested = (ROOT / "tests" / "experiments" / "test_jobs.py").read_text()
    lines = [line.text for line in commands() if line.text.startswith("ray job submit")]
    assert lines
    used = {option for line in lines for option in RAY_JOB_OPTIONS if option in line}
    assert not [option for option in used if option not in tested]


def test_python_blocks_are_python() -> None:
    blocks = list(fenced(PAGES, "python"))
    assert blocks
    for _, text in blocks:
        ast.parse(text)


def test_the_example_of_a_project_is_one(tmp_path: Path) -> None:
    ((_, text),) = fenced([DOCS / "concepts" / "project.md"], "python")
    file = tmp_path / "cats.py"
    file.write_text(text)
    project, _ = load_project(file)
    assert project.stickers.table == str(tmp_path / "stickers.csv")  # type: ignore[attr-defined]
    assert not project.simulated and len(project.teachers) > 1


def test_named_files_exist() -> None:
    absent = [
        (page.relative_to(ROOT).as_posix(), name)
        for page in TODAY
        for text in INLINE.findall(page.read_text())
        for name in PATHS.findall(text)
        if re.fullmatch(PATHS, text) and "NAME" not in text and "/" in name and not (ROOT / name).exists()
    ]
    assert not absent


def test_readme_is_short_and_its_links_lead_somewhere() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.split()) < 700
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", readme):
        assert "://" in target or (ROOT / target).exists(), target


def test_readme_python_runs(student_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is printed, beside an exported folder and a picture."""
    ((_, text),) = fenced([ROOT / "README.md"], "python")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exported").symlink_to(student_folder)
    Image.new("RGBA", (300, 300), (200, 80, 40, 255)).save("cat.png")
    exec(compile(text, "README.md", "exec"), {"__name__": "readme"})
    (animation,) = set(tmp_path.iterdir()) - {tmp_path / "exported", tmp_path / "cat.png"}
    with Image.open(animation) as clip:
        assert clip.n_frames > 1  # type: ignore[attr-defined]
