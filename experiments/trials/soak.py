"""A thousand bad videos: `make soak`.

Each file is examined as a stage would examine it, in a watched process: a decoder that crashes or hangs ends that
process and not the run, and counts as a failure. The command ends with a table of outcomes, and with status 1 if any
failed.
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

#: seconds after which a small file counts as hanging
LIMIT_SECONDS = 10.0
#: pixels a side of the frames of a usable file
SIZE = 32
USABLE, REFUSED, RAISED, CRASHED, HUNG, NOISY = "usable", "refused", "raised", "crashed", "hung", "noisy"
FAILURES = (RAISED, CRASHED, HUNG, NOISY)


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file, in how many seconds; `reason` says why it was refused, or how it failed."""

    kind: str
    mutation: str
    verdict: str
    seconds: float
    reason: str


def examine_files(pipe: Connection, stderr: str) -> None:
    """The watched process: paths come in, (verdict, reason) go out. What FFmpeg prints goes to the file `stderr`."""
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
            examined = examine(row_of(Listed(path, "", "soak"), path), (SIZE,))
        except Exception as error:  # noqa: BLE001  any exception at all is the finding
            pipe.send((RAISED, repr(error)))
            continue
        if isinstance(examined, Examined):
            sentence = f"{examined.clip.num_frames} frames at {examined.clip.fps:g} fps, {examined.frames[SIZE].shape}"
            pipe.send((USABLE, sentence))
        else:
            pipe.send((REFUSED, examined.reason))


class Watched:
    """A process that examines one file after another; it is replaced when it crashes or hangs."""

    def __init__(self, folder: str) -> None:
        self.stderr = Path(folder) / "stderr"

    def start(self) -> None:
        """Start the process and wait until it has imported what it needs."""
        self.stderr.touch()
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=examine_files, args=(theirs, str(self.stderr)), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()

    def examine(self, path: str) -> tuple[str, str]:
        """The verdict and its reason."""
        before = self.stderr.stat().st_size
        self.pipe.send(path)
        if not self.pipe.poll(LIMIT_SECONDS):
            self.process.kill()
            verdict, sentence = HUNG, f"no answer within {LIMIT_SECONDS:g} seconds"
        else:
            try:
                verdict, sentence = self.pipe.recv()
            except EOFError:
                self.process.join()
                verdict, sentence = CRASHED, f"the process ended with status {self.process.exitcode}"
        if verdict in (HUNG, CRASHED):
            self.start()
        elif self.stderr.stat().st_size > before:
            return NOISY, self.stderr.read_text(errors="replace")[before:]
        return verdict, sentence

    def close(self) -> None:
        """End the process."""
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
            verdict, sentence = watched.examine(str(path))
            seconds = time.perf_counter() - started
            path.unlink()
            yield FileOutcome(mutant.kind, mutant.mutation, verdict, seconds, sentence.replace(folder, ""))
        watched.close()


def show(outcomes: list[FileOutcome], console: Console) -> None:
    """Print counts by mutation, then the slowest file and every failure."""
    verdicts = (USABLE, REFUSED, *FAILURES)
    counted = Counter((outcome.mutation, outcome.verdict) for outcome in outcomes)
    table = Table("mutation", *verdicts, title=f"{len(outcomes)} mutated files")
    for mutation in dict.fromkeys(outcome.mutation for outcome in outcomes):
        table.add_row(mutation, *(str(counted[mutation, verdict] or "") for verdict in verdicts))
    totals = Counter(outcome.verdict for outcome in outcomes)
    table.add_row("all", *(str(totals[verdict]) for verdict in verdicts))
    console.print(table)
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    console.print(f"slowest: {slowest.seconds:.2f} s, {slowest.kind}, {slowest.mutation}, {slowest.verdict}")
    for outcome in outcomes:
        if outcome.verdict in FAILURES:
            console.print(
                f"{outcome.verdict}: {outcome.kind}, {outcome.mutation}: {outcome.reason}", markup=False
            )


def main() -> None:
    """Read the command line, examine the mutated files and print the verdicts."""
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
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    sys.exit(any(outcome.verdict in FAILURES for outcome in outcomes))


if __name__ == "__main__":
    main()
