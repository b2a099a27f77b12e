"""Write the locks or check them: `make lock`, `make lock-check`. CONTRIBUTING.md says when.

Exact versions with the digests of every file of a release, so that pip takes nothing else:

- `requirements.lock`: what the project needs to run, and to be installed from its checkout
- `requirements-test.lock`: what tests and checks need beside that
- `requirements-cuda.lock`: what the CUDA build of torch needs beside that. pip takes it as a constraint: where it finds
  a CPU build, which needs none of these, it installs none of them
- `.ci/pip.lock`: pip itself, because older ones do not read digests from constraints

Versions stay as they are unless told otherwise: `python .ci/lock.py write --upgrade-package ray`.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = str(Path(sys.executable).with_name("uv"))
PRODUCTION, TEST, CUDA = "requirements.lock", "requirements-test.lock", "requirements-cuda.lock"
PIP = ".ci/pip.lock"
#: what torch's CUDA build requires and its CPU build does not
OF_CUDA = re.compile(r"(nvidia-|cuda-|triton$)")
PYTHON = "3.11"
#: claimed by nobody, because no test runs there; `check` shows that the locks can be installed
OTHER_PYTHONS = ("3.12", "3.13")
PLATFORM = "x86_64-manylinux_2_28"
#: released as source alone
SOURCE_ONLY = "deepspeed"
HEADER = (
    "# Written by .ci/lock.py, which explains it; pyproject.toml holds the lower bounds and their reasons.\n"
)
Lock = dict[str, str]


def parse(text: str) -> Lock:
    """The entries of a lock by package: each a pin and its digests, over several lines."""
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    entries = [entry.strip() for entry in re.split(r"\n(?=\S)", body) if entry.strip()]
    return {entry.split("==")[0]: entry for entry in entries}


def read(name: str) -> Lock:
    """The lock of that name; an empty one where there is no file."""
    path = ROOT / name
    return parse(path.read_text()) if path.exists() else {}


def write(name: str, entries: Lock) -> None:
    """Write a lock, sorted by package."""
    (ROOT / name).write_text(HEADER + "".join(f"{entries[package]}\n" for package in sorted(entries)))


def pin(entry: str) -> str:
    """The line `package==version` of an entry."""
    return entry.split()[0]


def run(*command: str) -> str:
    """What a command prints. SystemExit with its complaint when it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command[:4])} failed:\n{done.stderr}{done.stdout}")
    return done.stdout


def resolve(pins: Lock, source: str, *options: str) -> Lock:
    """The entries for what `source` requires, at the versions of `pins` where the options allow it."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "resolved.txt")  # uv keeps the versions that it finds in its result
        result.write_text("".join(f"{pin(entry)}\n" for entry in pins.values()))
        run(
            UV, "pip", "compile", source, "--output-file", str(result), "--generate-hashes", "--no-header",
            "--no-annotate", "--python", sys.executable, "--python-version", PYTHON, "--python-platform", PLATFORM,
            *options,
        )  # fmt: skip
        return parse(result.read_text())


def build_for_this_machine(entry: str) -> tuple[str, str]:
    """The version of a package, with its build, that pip takes here while it does not look at digests; its digest."""
    report = run(
        sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet",
        "--disable-pip-version-check", "--report", "-", pin(entry),
    )  # fmt: skip
    (build,) = json.loads(report)["install"]
    return build["metadata"]["version"], build["download_info"]["archive_info"]["hashes"]["sha256"]


def with_cpu_build(entry: str, before: str) -> str:
    """torch's entry with the digests of the builds that its index does not have: what pip finds on this machine, and
    what the entry had `before`, if that is of the same version."""
    _, build = build_for_this_machine(entry)
    digests = {*digests_of(entry), build, *(digests_of(before) if pin(before) == pin(entry) else ())}
    return " \\\n    ".join([pin(entry), *(f"--hash=sha256:{digest}" for digest in sorted(digests))])


def digests_of(entry: str) -> list[str]:
    """The SHA-256 digests of an entry's files."""
    return re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)


def write_all(options: list[str]) -> None:
    """Resolve again; `options` are uv's, such as --upgrade or --upgrade-package NAME."""
    before = read(PRODUCTION) | read(TEST) | read(CUDA)
    everything = resolve(before, "pyproject.toml", "--extra", "build", "--extra", "dev", *options)
    production = resolve(everything, "pyproject.toml", "--extra", "build")
    different = [name for name in production if pin(production[name]) != pin(everything[name])]
    if different:
        raise SystemExit(f"error: tests need other versions than production of {', '.join(different)}")
    everything["torch"] = with_cpu_build(everything["torch"], before.get("torch", "torch"))
    of_cuda = {name for name in everything if OF_CUDA.match(name)}
    write(CUDA, {name: everything[name] for name in of_cuda})
    write(PRODUCTION, {name: everything[name] for name in production if name not in of_cuda})
    write(TEST, {name: everything[name] for name in everything.keys() - production.keys() - of_cuda})
    with tempfile.NamedTemporaryFile("w", suffix=".in") as source:
        source.write("pip\n")
        source.flush()
        write(PIP, resolve(read(PIP), source.name, *options))
    print(*(f"{name}: {len(read(name))} packages" for name in (PRODUCTION, TEST, CUDA, PIP)), sep="\n")


def check() -> None:
    """Show that the locks can be installed as they are: with the torch that pip finds here, with the CUDA build, and
    with other Pythons. Nothing is installed; only the first downloads what this machine's pip does not have yet."""
    locks = ("--requirement", PRODUCTION, "--requirement", TEST, "--constraint", CUDA)
    version, _ = build_for_this_machine(read(PRODUCTION)["torch"])
    with tempfile.TemporaryDirectory() as folder:
        run(sys.executable, "-m", "venv", folder)
        build = Path(folder, "torch.txt")
        build.write_text(f"torch=={version}\n")
        pip = [str(Path(folder, "bin", "python")), "-m", "pip", "install", "--disable-pip-version-check"]
        run(*pip, "--require-hashes", "--requirement", PIP)
        printed = run(*pip, "--dry-run", "--require-hashes", *locks, "--constraint", str(build))
    summary = next(line for line in printed.splitlines() if line.startswith("Would install"))
    print(f"Python {PYTHON} with torch {version}: {len(summary.split()) - 2} packages")
    for python in (PYTHON, *OTHER_PYTHONS):
        with tempfile.TemporaryDirectory() as folder:
            command = (
                UV, "pip", "install", "--dry-run", "--require-hashes", "--target", folder, "--no-config",
                "--python", sys.executable, "--python-version", python, "--python-platform", PLATFORM,
                "--only-binary", ":all:",
                "--no-binary", SOURCE_ONLY, *locks,
            )  # fmt: skip
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        chosen = re.findall(r"^ \+ (\S+)", done.stderr + done.stdout, re.MULTILINE)
        if done.returncode or not any(OF_CUDA.match(name.split("==")[0]) for name in chosen):
            raise SystemExit(f"error: Python {python} with torch for CUDA:\n{done.stderr}")
        print(f"Python {python} with torch for CUDA: {len(chosen)} packages")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", *options]:
            write_all(options)
        case ["check"]:
            check()
        case _:
            raise SystemExit("usage: lock.py write [OPTIONS OF uv pip compile] | check")
