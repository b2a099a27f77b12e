"""Ray Train round a `TrainingJob`: several trainings side by side. Each fails alone and is resumed where it stopped.

A run's folder holds Ray Train's checkpoints (for resuming), then `checkpoint/` with the network, and last
`record.json`. With the record the training is finished: the checkpoints are deleted, and the next call of the same
command leaves it alone.
"""

import logging
import os
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from queue import Empty, Queue
from threading import Thread

import torch
from ray import train
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device
from rich.console import Console
from rich.table import Table

from actors.board import Board
from actors.cluster import check_memory, check_room, connect, is_private, worker_resource
from actors.preview import NUM_CLIPS, Preview, film
from actors.ray_compat import trainer_without_watcher
from actors.screen import console as shared_console
from actors.screen import log_to_errors
from actors.tracking import RunTracker, SilentTracker, Tracking
from stickers import storage
from stickers.artifacts.licences import LICENCES
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.housekeeping.withdrawn import Withdrawn, lift
from stickers.project import Project
from stickers.training import loop
from stickers.training.engine import DeepSpeedEngine
from stickers.training.job import FOLDERS, ROOT, TrainingJob, licences_behind, training_name

logger = logging.getLogger(__name__)
#: how often workers that vanish (killed, out of memory, a lost node) are replaced
RESTARTS = 3
POLL_SECONDS = 1.0
CHECKPOINT = "checkpoint"
#: the variable in which a job carries the revision of its code
REVISION = "STICKERS_REVISION"


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A job with everything else that its processes need: where results go, its MLflow run, its threads."""

    job: TrainingJob
    runs: str
    tracking_uri: str
    run_id: str
    num_threads: int
    revision: str
    simulated: bool
    preview: Preview
    validate_every: int
    licences: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class JobOutcome:
    """How a job ended: trained, finished before, or failed for a reason."""

    job: TrainingJob
    status: str
    seconds: float = 0.0
    reason: str = ""


def train_worker(config: dict[str, Assignment]) -> None:
    """Run in each worker: build, resume, train, and on rank 0 hand over the network."""
    log_to_errors()
    work = config["work"]
    job, device = work.job, get_device()
    torch.set_num_threads(work.num_threads)
    engine = DeepSpeedEngine(job.network().to(device), job.engine_settings())
    tracker = RunTracker(work.tracking_uri, work.run_id) if engine.rank == 0 else SilentTracker()

    def look(done: int) -> None:
        """Animate the preview with the weights as they are."""
        with tempfile.TemporaryDirectory() as folder:
            engine.export_unet(folder)
            if isinstance(tracker, RunTracker):
                film(folder, job, work.preview, tracker, str(device), step=done)

    start_step = _resume(engine)
    logger.info("%s: worker %d on %s goes on from step %d", job.recipe.name, engine.rank, device, start_step)
    loop.train(
        job.task(engine.model, device),
        engine,
        tracker,
        start_step=start_step,
        save=lambda done: hand_over(engine, done),
        save_every=job.recipe.checkpoint_every,
        validate=look,
        validate_every=work.validate_every,
    )
    with tempfile.TemporaryDirectory() as folder:
        engine.export_unet(folder)
        if isinstance(tracker, RunTracker):
            storage.upload_folder(folder, storage.join(job.run_uri(work.runs), CHECKPOINT))
            film(folder, job, work.preview, tracker, str(device))


def _resume(engine: DeepSpeedEngine) -> int:
    checkpoint = train.get_checkpoint()
    if checkpoint is None:
        return 0
    with checkpoint.as_directory() as folder:
        return engine.load(folder)


def hand_over(engine: DeepSpeedEngine, done: int) -> None:
    """Report each worker's part; Ray Train merges the parts into one folder, and `report` waits for all."""
    with tempfile.TemporaryDirectory() as folder:
        engine.save(folder, done)
        train.report({"step": done}, checkpoint=Checkpoint.from_directory(folder))


def drive(work: Assignment) -> str:
    """Run one training from start to record; returns why it failed, or an empty string.

    Vanished workers are replaced and go on from the last checkpoint. An error of the training itself is final, because
    it would come again.
    """
    for attempt in range(1 + RESTARTS):
        start = time.monotonic()
        logger.info("%s: training starts, try %d of %d", work.job.folder, attempt + 1, 1 + RESTARTS)
        try:
            _trainer(work).fit()
        except train.WorkerGroupError as error:
            failures = list(error.worker_failures.values())
            vanished = [failure for failure in failures if type(failure).__module__.startswith("ray.")]
            if not vanished:
                return _sentence(failures[0])
            if attempt == RESTARTS:
                return f"its workers vanished {attempt + 1} times: {_sentence(vanished[0])}"
        except train.ControllerError as error:
            return _sentence(error.controller_failure)
        else:
            _finish(work, time.monotonic() - start)
            break
    return ""


def _trainer(work: Assignment) -> TorchTrainer:
    job, kind = work.job, trainer_without_watcher() if is_private() else TorchTrainer
    return kind(
        train_worker,
        train_loop_config={"work": work},
        scaling_config=ScalingConfig(num_workers=job.recipe.num_workers, use_gpu=worker_resource() == "GPU"),
        run_config=RunConfig(
            name=job.folder,
            storage_path=job.run_uri(work.runs).rsplit("/", 1)[0],
            checkpoint_config=CheckpointConfig(num_to_keep=1),
            failure_config=FailureConfig(max_failures=0),
        ),
    )


def _finish(work: Assignment, seconds: float) -> None:
    run_uri = work.job.run_uri(work.runs)
    record = work.job.record() | {
        "weights": weights_digest(storage.local_folder(storage.join(run_uri, CHECKPOINT))),
        "revision": work.revision,
        "mlflow_run": work.run_id,
        "simulated": work.simulated,
        LICENCES: dict(work.licences),
        "seconds": round(seconds, 1),
    }
    storage.write_record(run_uri, record)
    logger.info("%s: trained in %.0f s", work.job.folder, seconds)
    for leftover in storage.listing(run_uri):  # Ray Train's checkpoints, larger than the result
        if not leftover.endswith((f"/{CHECKPOINT}", f"/{storage.RECORD}")):
            storage.remove(leftover)


def _sentence(error: BaseException) -> str:
    """The first line of an error, with its kind unless the error was written for users."""
    first = (str(error).strip().splitlines() or [""])[0]
    return first if isinstance(error, UserError | loop.DivergedError) else f"{type(error).__name__}: {first}"


def train_all(
    jobs: Sequence[TrainingJob],
    runs: str,
    *,
    project: Project,
    simulated: bool = False,
    validate_every: int = 0,
    console: Console | None = None,
) -> list[JobOutcome]:
    """Train the unfinished jobs, as many side by side as the cluster has room for, and return the outcomes of all.

    Args:
        jobs: what to train; each is checked before the first one starts.
        runs: the runs folder, absolute.
        project: the project whose held-out stickers are previewed; it names the MLflow parent run, and finished
            trainings become its current ones.
        simulated: whether simulated people had a part in the data.
        validate_every: steps from one animated preview to the next; 0 for one at the end alone.

    Raises:
        UserError: a job cannot be trained, or the cluster has no room for it; then nothing was started.
    """
    console = console or shared_console
    todo = [job for job in jobs if not job.finished(runs)]
    outcomes = [JobOutcome(job=job, status="finished before") for job in jobs if job not in todo]
    for outcome in outcomes:
        # it learns the same from what is left, or its digest would be another
        lift(outcome.job.run_uri(runs))
    for job in todo:
        job.check()
    if todo:
        with connect():
            side_by_side = min(len(todo), check_room(job.recipe for job in todo))
            check_memory(todo, side_by_side)
            tracking = Tracking.open(runs)
            works = _assign(todo, runs, tracking, side_by_side, project, simulated, validate_every)
            outcomes += _run(works, side_by_side, tracking, console)
    for outcome in outcomes:
        if not outcome.reason:
            name = training_name(project.name, outcome.job.recipe.name)
            storage.set_current(runs, FOLDERS[outcome.job.role], name, outcome.job.folder)
    summary(outcomes, console)
    return outcomes


def _assign(
    jobs: list[TrainingJob],
    runs: str,
    tracking: Tracking,
    side_by_side: int,
    project: Project,
    simulated: bool,
    validate_every: int,
) -> list[Assignment]:
    parent, revision = tracking.parent(project.name), code_revision()
    held_out = Withdrawn.of(runs).without(project.evaluation.stickers.stickers(NUM_CLIPS))
    return [
        Assignment(
            job=job,
            runs=runs,
            tracking_uri=tracking.uri,
            run_id=_open_run(tracking, parent, job, revision, project.name, simulated),
            num_threads=max(1, (os.cpu_count() or 1) // (side_by_side * job.recipe.num_workers)),
            revision=revision,
            simulated=simulated,
            preview=Preview.of(held_out, job.picture_size),
            validate_every=validate_every,
            licences=licences_behind(job, runs, project.foundation.licence),
        )
        for job in jobs
    ]


def _open_run(
    tracking: Tracking, parent: str, job: TrainingJob, revision: str, ensemble: str, simulated: bool
) -> str:
    record = job.record()
    fields = {"name", "seed"}
    params = {name: value for name, value in record["recipe"].items() if name not in fields}
    tags = {
        "role": job.role,
        job.role: job.recipe.name,
        "recipe_digest": job.recipe.digest(),
        "ensemble": ensemble,
        "revision": revision,
        "simulated": str(simulated).lower(),
    }
    return tracking.child(
        parent,
        job.recipe.name,
        {"run_digest": job.digest, "role": job.role},
        params={"seed": job.recipe.seed, **params, "recipe_digest": job.recipe.digest()},
        tags=tags,
        data={name: (job.data[name], uri) for name, uri in job.sets},
    )


def _run(
    works: list[Assignment], side_by_side: int, tracking: Tracking, console: Console
) -> list[JobOutcome]:
    """Keep `side_by_side` trainings going until all are done, and show their progress."""
    waiting, running = deque(works), set[str]()
    ended: Queue[tuple[Assignment, JobOutcome]] = Queue()
    outcomes: list[JobOutcome] = []
    bars = [(work.run_id, work.job.recipe.name, work.job.recipe.num_steps) for work in works]
    with Board(bars, tracking, console) as board:
        while waiting or running:
            while waiting and len(running) < side_by_side:
                work = waiting.popleft()
                # a daemon, so that Ctrl-C need not wait for it
                Thread(target=_drive_alone, args=(work, ended), daemon=True).start()
                running.add(work.run_id)
                board.start(work.run_id)
            with suppress(Empty):
                work, outcome = ended.get(timeout=POLL_SECONDS)
                running.remove(work.run_id)
                tracking.finish(work.run_id, failed=outcome.reason)
                board.done(work.run_id, outcome.status)
                outcomes.append(outcome)
            board.refresh(running)
    return outcomes


def _drive_alone(work: Assignment, ended: "Queue[tuple[Assignment, JobOutcome]]") -> None:
    """Drive a training in a thread of its own, and pass its outcome on, whatever it is."""
    start = time.monotonic()
    try:
        reason = drive(work)
    except Exception as error:  # noqa: BLE001  (it is this training's outcome; the others go on)
        reason = _sentence(error)
    status = "failed" if reason else "trained"
    ended.put(
        (work, JobOutcome(job=work.job, status=status, seconds=time.monotonic() - start, reason=reason))
    )


def summary(outcomes: Sequence[JobOutcome], console: Console) -> None:
    """A table of the outcomes."""
    table = Table("recipe", "digest", "steps", "status", "seconds", title="trained networks")
    for outcome in sorted(outcomes, key=lambda outcome: outcome.job.recipe.name):
        job, seconds = outcome.job, f"{outcome.seconds:.0f}" if outcome.seconds else ""
        style = "red" if outcome.reason else None
        table.add_row(
            f"{job.role} {job.recipe.name}",
            job.digest,
            str(job.recipe.num_steps),
            outcome.status,
            seconds,
            style=style,
        )
    console.print(table)
    for outcome in outcomes:
        if outcome.reason:
            console.print(
                f"[red]failed[/] {outcome.job.recipe.name}: {outcome.reason}", highlight=False, soft_wrap=True
            )


def code_revision() -> str:
    """The commit of the code, with `-dirty` where the tree differs from it.

    A job carries it in STICKERS_REVISION, since a cluster that has only the dependencies has no checkout. An installed
    package gives its version.
    """
    if os.environ.get(REVISION):
        return os.environ[REVISION]
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return _installed_version()
    return f"{commit}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else commit


def _installed_version() -> str:
    try:
        return f"animated-stickers {version('animated-stickers')}"
    except PackageNotFoundError:  # code that travelled with a job whose environment names no revision
        return f"unversioned code ({REVISION} names none)"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
