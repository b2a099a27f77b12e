"""A teacher as a Ray Data actor: loads its pipeline once, then turns blocks of the plan into blocks of candidates."""

from dataclasses import dataclass

import pyarrow as pa
import ray
import torch
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig

from stickers import store
from stickers.artifacts import STICKERS, Candidate, PlanRow, table_of
from stickers.export import assemble
from stickers.hitl.generation import CandidateMaker
from stickers.pipeline import AnimationPipeline

BATCHES_PER_BLOCK = 2
"""A written block is what a crash cannot take; smaller blocks are durable sooner and make more files."""


@dataclass(frozen=True, kw_only=True)
class TeacherWork:
    """What one teacher needs to do its part of a plan.

    `name` is the teacher's, `record` the URI of its finished training, `foundations` the folder of autoencoder and
    text encoder, `stickers` the URI of the plan's sticker table.
    """

    name: str
    record: str
    foundations: str
    stickers: str
    plan_id: str
    attempt: int
    batch_size: int


class Teacher:
    """Takes and gives Arrow tables: plan rows in, candidates out, as many and in the same order."""

    def __init__(self, work: TeacherWork) -> None:
        device = "cuda" if ray.get_gpu_ids() else "cpu"
        if device == "cpu":
            torch.set_num_threads(1)  # several single-threaded teachers beat one with many threads
        pipeline = assemble(store.local_folder(work.record), work.foundations)
        table = store.read_table(work.stickers, STICKERS, columns=["sticker_id", "png"])
        self.maker = CandidateMaker(
            _moved(pipeline, device),
            dict(zip(table["sticker_id"].to_pylist(), table["png"].to_pylist(), strict=True)),
            plan_id=work.plan_id,
            attempt=work.attempt,
            batch_size=work.batch_size,
        )

    def __call__(self, table: pa.Table) -> pa.Table:
        return table_of(self.maker.make([PlanRow(**row) for row in table.to_pylist()]), Candidate)


def _moved(pipeline: AnimationPipeline, device: str) -> AnimationPipeline:
    for module in (pipeline.unet, pipeline.autoencoder, pipeline.text.model):
        module.to(device)
    return pipeline


def animate_rows(rows_uri: str, work: TeacherWork, out: str) -> None:
    """One Ray Data execution: the plan rows of `rows_uri` that `out` lacks become candidates in `<out>/rows`.

    A block is durable once written; its ids stand in `<out>/checkpoint`, and the next call skips them.
    """
    context = DataContext.get_current()
    context.checkpoint_config = CheckpointConfig(
        id_column="candidate_id",
        checkpoint_path=store.join(out, "checkpoint"),
        delete_checkpoint_on_success=False,
    )
    there = ray.cluster_resources()
    num_gpus = 1 if there.get("GPU") else 0
    # On CPUs half of them: on resume Ray Data also wants one to read, one to filter and one to write.
    pool = int(there["GPU"]) if num_gpus else max(1, int(there.get("CPU", 1)) // 2)
    try:
        dataset = ray.data.read_parquet(rows_uri).repartition(
            target_num_rows_per_block=BATCHES_PER_BLOCK * work.batch_size
        )
        dataset = dataset.map_batches(
            Teacher,
            fn_constructor_args=(work,),
            batch_size=work.batch_size,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=pool, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=num_gpus,
        )
        dataset.set_name(f"{work.name}, pass {work.attempt + 1}")
        dataset.write_parquet(store.join(out, "rows"))
    finally:
        context.checkpoint_config = None
