"""A teacher as a Ray Data actor: it loads its pipeline once, then turns plan rows into candidates, block by block."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import ray
import torch
from ray.data import ActorPoolStrategy

from actors.blocks import Unwritten, write_durable
from actors.cluster import own_device
from actors.scorer import Scorer
from stickers import storage
from stickers.artifacts.records import Candidate, PlanRow
from stickers.artifacts.schema import records_of, table_of
from stickers.candidates.conditions import EncodedConditions
from stickers.candidates.isolation import Isolation
from stickers.candidates.maker import CandidateMaker
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.export import assemble

BLOCKS_WANTED = 2048
MOST_BATCHES_PER_BLOCK = 8
"""A written block is what a crash cannot take: smaller ones are durable sooner and make more files. A block is a batch
until a teacher would write more than so many, and never more than so many batches: minutes of an H100."""
BLOCKS_AHEAD = 1
"""Blocks that may be made while others are looked at and written, beside one each actor."""

CPUS_PER_EXECUTION = 5
"""Logical CPUs: on resume Ray Data wants one to read, one to filter and one to write beside the teacher's actor and the
scorer's."""
CPUS_PER_SCORER = 16
"""Of a cluster's: a clip takes a hundredth of a second to look at, and seconds to make."""
ROWS_PER_CPU_ACTOR = 128
"""On CPUs a second actor must load the teacher again; for fewer rows that takes longer than it saves."""


@dataclass(frozen=True, kw_only=True)
class TeacherWork:
    """What one teacher needs to do its part of a plan.

    `name` is the teacher's name, `record` the URI of its finished training, `weights` the digest of that training's
    network, `foundations` the folder of the autoencoder, `plan` the URI of the plan and `conditions` the folder of its
    encoded stickers and prompts. `gpus` is the share of a GPU that an actor takes.
    """

    name: str
    record: str
    weights: str
    foundations: str
    plan: str
    plan_id: str
    conditions: str
    attempt: int
    batch_size: int
    gpus: float = 1.0


class Teacher:
    """Takes Arrow tables of plan rows and returns tables of candidates, with as many rows in the same order.

    Raises:
        UserError: the weights are not those of the training, and so not those of the plan.
    """

    def __init__(self, work: TeacherWork) -> None:
        device = own_device()
        if device == "cpu":
            torch.set_num_threads(1)  # several single-threaded teachers beat one with many threads
        folder = storage.local_folder(work.record)
        digest = weights_digest(Path(folder, "checkpoint"))
        if digest != work.weights:
            raise UserError(
                f"the weights of teacher {work.name} in {work.record} have changed since they were trained: their "
                f"digest is {digest}, not {work.weights}"
            )
        pipeline = assemble(folder, work.foundations, with_text=False).to(device)
        if (
            device != "cpu"
        ):  # a laptop's plan is too small to earn back the seconds that a graph takes to make
            pipeline.accelerate()
        self.maker = CandidateMaker(
            pipeline,
            EncodedConditions(work.plan, work.conditions),
            plan_id=work.plan_id,
            attempt=work.attempt,
            batch_size=work.batch_size,
        )
        self.isolation = Isolation(storage.join(work.plan, "trying", work.name))

    def __call__(self, table: pa.Table) -> pa.Table:
        """Draw every row of the plan: schema `PlanRow` in, `Candidate` out."""
        rows = records_of(table, PlanRow)
        return table_of(self.isolation.run(rows, self._make, self.maker.give_up), Candidate)

    def _make(self, rows: list[PlanRow]) -> list[Candidate]:
        try:
            return self.maker.make(rows)
        except torch.AcceleratorError as error:
            # every later row would fail here: Ray starts another process, and the note says over which rows this died
            print(f"the device failed, this teacher's process ends: {error}", file=sys.stderr, flush=True)
            os._exit(1)


def rows_per_block(num_rows: int, batch_size: int) -> int:
    """How many of a teacher's rows become durable together."""
    batches = -(-num_rows // (batch_size * BLOCKS_WANTED))
    return batch_size * min(MOST_BATCHES_PER_BLOCK, max(1, batches))


def side_by_side(num_teachers: int) -> int:
    """How many teachers the cluster has room for at a time."""
    return max(1, min(num_teachers, int(ray.cluster_resources().get("CPU", 1)) // CPUS_PER_EXECUTION))


def animate_rows(
    rows_uri: str,
    num_rows: int,
    work: TeacherWork,
    target: str,
    *,
    beside: int = 1,
    actor: type[Teacher] = Teacher,
) -> None:
    """Make the missing candidates of `rows_uri` in one Ray Data execution; they go to `<target>/rows`, checked on CPUs.

    `beside` counts the executions that share the cluster, this one included.
    """
    block = rows_per_block(num_rows, work.batch_size)
    most = _most_actors(num_rows, beside, work.gpus)
    write_durable(
        lambda: _animated(rows_uri, num_rows, work, beside, actor),
        target,
        "candidate_id",
        Unwritten(actor.__name__, (most + BLOCKS_AHEAD) * block),
        writers=most,
    )


def _animated(
    rows_uri: str, num_rows: int, work: TeacherWork, beside: int, actor: type[Teacher]
) -> ray.data.Dataset:
    """Plan rows as made and checked candidates, in blocks that are written as a unit."""
    resources = ray.cluster_resources()
    dataset = ray.data.read_parquet(rows_uri).repartition(
        target_num_rows_per_block=rows_per_block(num_rows, work.batch_size)
    )
    # Start with one actor: once a node is gone, a pool of fixed size would hold on to what the tasks beside it need
    dataset = dataset.map_batches(
        actor,
        fn_constructor_args=(work,),
        batch_size=work.batch_size,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(
            min_size=1, max_size=_most_actors(num_rows, beside, work.gpus), max_tasks_in_flight_per_actor=1
        ),
        num_cpus=1,
        num_gpus=work.gpus if resources.get("GPU", 0) else 0,
    )
    dataset = dataset.map_batches(
        Scorer,
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(
            min_size=1, max_size=max(1, int(resources.get("CPU", 1)) // beside // CPUS_PER_SCORER)
        ),
        num_cpus=1,
    )
    # With one task an actor the pool is as busy as it can be at 1; Ray Data's own threshold, for two, is never reached
    dataset.context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0
    dataset.set_name(f"{work.name}, pass {work.attempt + 1}")
    # a caller that runs several side by side shows one bar for all of them
    dataset.context.enable_progress_bars = False
    return dataset


def _most_actors(num_rows: int, beside: int, gpus: float) -> int:
    """The most actors of one execution: as many as its share of the cluster feeds and its rows repay."""
    resources = ray.cluster_resources()
    if resources.get("GPU", 0):
        return max(1, int(resources["GPU"] / gpus) // beside)
    share = int(resources.get("CPU", 1)) // beside
    # A machine's logical CPUs are more than its cores, so that readers and writers find some beside the actors; more
    # teachers than cores keep each other, and the writers, from working: a third of the pace on two cores
    cores = (os.cpu_count() or 1) // beside if len(ray.nodes()) == 1 else share
    return max(1, min(share // 2, cores, 1 + num_rows // ROWS_PER_CPU_ACTOR))
