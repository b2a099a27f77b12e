"""A thousand bad videos through the door: `make soak`.

Each file is examined as a stage would, in a process that is watched: a decoder that crashes or hangs ends that
process, not the run, and counts as a failure. Ends with a table of outcomes and status 1 if any failed.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from experiments.trials.mutations import mutants

#: how long one small file may take before it counts as hanging, in seconds
LIMIT_SECONDS = 10.0
#: pixels a side of what is made of a usable one
SIZE = 32
USABLE, REFUSED, RAISED, CRASHED, HUNG, NOISY = "usable", "refused", "raised", "crashed", "hung", "noisy"
FAILURES = (RAISED, CRASHED, HUNG, NOISY)


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file, in how many seconds; `said` is the reason it was refused, or how it failed."""

    kind: str
    mutation: str
    verdict: str
    seconds: float
    said: str


def examine_files(pipe: Connection, stderr: str) -> None:
    """The watched process: paths come in, (verdict, said) go out. What FFmpeg prints goes to the file `stderr`."""
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    import torch

    from stickers.data.collections import Listed
    from stickers.data.manifest import Examined, examine, row_of

    torch.set_num_threads(1)
    pipe.send((USABLE, "ready"))
    while True:
        try:
            path = pipe.recv()
        except EOFError:
            return
        try:
            found = examine(row_of(Listed(path, "", "soak"), path), (SIZE,))
        except Exception as error:  # noqa: BLE001  any exception at all is the finding
            pipe.send((RAISED, repr(error)))
            continue
        if isinstance(found, Examined):
            said = f"{found.clip.num_frames} frames at {found.clip.fps:g} fps, {found.frames[SIZE].shape}"
            pipe.send((USABLE, said))
        else:
            pipe.send((REFUSED, found.reason))


class Watched:
    """A process that examines files one by one, and is replaced when it crashes or hangs."""

    def __init__(self, folder: str) -> None:
        self.stderr = Path(folder) / "stderr"

    def start(self) -> None:
        self.stderr.touch()
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=examine_files, args=(theirs, str(self.stderr)), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()

    def examine(self, path: str) -> tuple[str, str]:
        """Verdict and what was said."""
        before = self.stderr.stat().st_size
        self.pipe.send(path)
        if not self.pipe.poll(LIMIT_SECONDS):
            self.process.kill()
            verdict, said = HUNG, f"no answer within {LIMIT_SECONDS:g} seconds"
        else:
            try:
                verdict, said = self.pipe.recv()
            except EOFError:
                self.process.join()
                verdict, said = CRASHED, f"the process ended with status {self.process.exitcode}"
        if verdict in (HUNG, CRASHED):
            self.start()
        elif self.stderr.stat().st_size > before:
            return NOISY, self.stderr.read_text(errors="replace")[before:]
        return verdict, said

    def close(self) -> None:
        self.pipe.close()
        self.process.join()


def soak(count: int, seed: int) -> Iterator[FileOutcome]:
    """Examine `count` mutated files, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        watched = Watched(folder)
        watched.start()
        for number, mutant in enumerate(mutants(count, seed)):
            path = Path(folder) / f"{number}.{mutant.kind}"
            path.write_bytes(mutant.data)
            started = time.perf_counter()
            verdict, said = watched.examine(str(path))
            seconds = time.perf_counter() - started
            path.unlink()
            yield FileOutcome(mutant.kind, mutant.mutation, verdict, seconds, said.replace(folder, ""))
        watched.close()


def show(outcomes: list[FileOutcome], console: Console) -> None:
    """Counts by mutation, then the slowest file and every failure."""
    verdicts = (USABLE, REFUSED, *FAILURES)
    counted = Counter((each.mutation, each.verdict) for each in outcomes)
    table = Table("mutation", *verdicts, title=f"{len(outcomes)} mutated files")
    for mutation in dict.fromkeys(each.mutation for each in outcomes):
        table.add_row(mutation, *(str(counted[mutation, verdict] or "") for verdict in verdicts))
    totals = Counter(each.verdict for each in outcomes)
    table.add_row("all", *(str(totals[verdict]) for verdict in verdicts))
    console.print(table)
    slowest = max(outcomes, key=lambda each: each.seconds)
    console.print(f"slowest: {slowest.seconds:.2f} s, {slowest.kind}, {slowest.mutation}, {slowest.verdict}")
    for each in outcomes:
        if each.verdict in FAILURES:
            console.print(f"{each.verdict}: {each.kind}, {each.mutation}: {each.said}", markup=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000, help="files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print every outcome as JSON")
    args = parser.parse_args()
    outcomes = list(tqdm(soak(args.count, args.seed), total=args.count, desc="examined", mininterval=5))
    show(outcomes, Console(stderr=True))
    if args.json:
        print(json.dumps([asdict(each) for each in outcomes], indent=2))
    sys.exit(any(each.verdict in FAILURES for each in outcomes))


if __name__ == "__main__":
    main()
