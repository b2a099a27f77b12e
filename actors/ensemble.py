"""All teachers of a plan, side by side where the cluster has room. Each fails alone and goes on where it stopped.

A teacher's failed rows get further passes. Each pass leaves one folder of blocks.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import ray
from rich.console import Console
from rich.markup import escape

from actors.cluster import connect
from actors.conditions import encode_conditions
from actors.teacher import CPUS_PER_EXECUTION, Teacher, TeacherWork, animate_rows, side_by_side
from stickers import storage
from stickers.artifacts.records import FAILED, PLAN, PlanRow
from stickers.artifacts.schema import table_of
from stickers.candidates.archive import durable
from stickers.candidates.conditions import conditions_folder
from stickers.candidates.plan import Plan
from stickers.errors import UserError

logger = logging.getLogger(__name__)
BATCH_SIZE = 8
MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Encoders:
    """The folder of autoencoder, text encoder and tokenizer, and the digests of their weights."""

    folder: str
    digests: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Finished trainings and their encoders, both by the teacher's name.

    `batch_size` counts the clips of one network batch, `gpus` is the share of a GPU that each actor takes, and `actor`
    is the class that animates.
    """

    teachers: Mapping[str, storage.Artifact]
    encoders: Mapping[str, Encoders]
    batch_size: int = BATCH_SIZE
    gpus: float = 1.0
    actor: type[Teacher] = Teacher

    def work(self, uri: str, plan: Plan, name: str, attempt: int) -> TeacherWork:
        """The work of a teacher in one pass."""
        return TeacherWork(
            name=name,
            record=self.teachers[name].uri,
            weights=self.teachers[name].record["weights"],
            foundations=self.encoders[name].folder,
            plan=uri,
            plan_id=plan.plan_id,
            conditions=self.conditions(uri, name),
            attempt=attempt,
            batch_size=self.batch_size,
            gpus=self.gpus,
        )

    def size(self, name: str) -> int:
        """Pixels a side of a teacher's clips."""
        return int(self.teachers[name].record["picture_size"])

    def conditions(self, uri: str, name: str) -> str:
        """The folder of a teacher's encoded stickers and prompts. Teachers of one size and with the same encoders share
        it.
        """
        return conditions_folder(uri, self.encoders[name].digests, self.size(name))


def run_ensemble(uri: str, plan: Plan, ensemble: Ensemble, console: Console) -> list[str]:
    """Make every missing candidate of a plan.

    Returns:
        The folders of all passes, later passes last.

    Raises:
        UserError: a teacher failed; the others are finished nevertheless, and the same command goes on.
    """
    outs: list[str] = []
    broken: defaultdict[str, list[str]] = defaultdict(list)
    room = CPUS_PER_EXECUTION * min(len(plan.teachers), os.cpu_count() or 1)
    with connect(num_cpus=max(room, os.cpu_count() or 1)):
        for conditions_uri, name in {ensemble.conditions(uri, name): name for name in plan.teachers}.items():
            encode_conditions(plan, conditions_uri, ensemble.encoders[name].folder, ensemble.size(name))
        beside = side_by_side(len(plan.teachers))
        with ThreadPoolExecutor(beside) as pool:
            work = {
                name: pool.submit(run_teacher, uri, plan, name, ensemble, console, beside=beside)
                for name in plan.teachers
            }
            for name, running in work.items():
                try:
                    outs += running.result()
                    console.print(f"teacher {name}: {len(plan.of(name))} candidates", highlight=False)
                except (ray.exceptions.RayError, UserError) as error:
                    reason = str(error).strip().splitlines()[-1]
                    broken[reason].append(name)
                    console.print(f"[red]teacher {name} failed: {escape(reason)}", highlight=False)
    if broken:
        reasons = "; ".join(f"{reason} ({', '.join(names)})" for reason, names in broken.items())
        raise UserError(
            f"plan {plan.plan_id} is not finished; solve this, then run the command again: {reasons}"
        )
    return outs


def run_teacher(
    uri: str, plan: Plan, name: str, ensemble: Ensemble, console: Console, *, beside: int = 1
) -> list[str]:
    """Make all missing candidates of one teacher, with bounded retries of failed rows.

    Returns:
        The folder of each pass.
    """
    outs: list[str] = []
    todo, rows_uri = plan.of(name), storage.join(uri, "plan", f"{name}.parquet")
    for attempt in range(MAX_ATTEMPTS):
        pass_uri = storage.join(uri, "candidates", name, str(attempt))
        for torn in storage.discard_torn(pass_uri):
            console.print(f"[yellow]interrupted, made again: {escape(torn)}", highlight=False, soft_wrap=True)
        ids, statuses = {row.candidate_id for row in todo}, durable(pass_uri)
        if statuses.keys() != ids:
            if attempt:
                rows_uri = storage.join(pass_uri, "plan.parquet")
                storage.write_table(rows_uri, table_of(todo, PlanRow), PLAN)
            work = ensemble.work(uri, plan, name, attempt)
            logger.info(
                "teacher %s, pass %d: %d candidates of plan %s", name, attempt + 1, len(todo), plan.plan_id
            )
            animate_rows(rows_uri, len(todo), work, pass_uri, beside=beside, actor=ensemble.actor)
            statuses = durable(pass_uri)
        # there may be others beside them: rows that failed before, whose block was torn since
        missing = ids - statuses.keys()
        if missing:
            raise UserError(
                f"{len(missing)} candidates of teacher {name} are missing after pass {attempt + 1}; "
                "run the command again"
            )
        outs.append(pass_uri)
        todo = [row for row in todo if statuses[row.candidate_id] == FAILED]
        if not todo:
            break
    return outs
