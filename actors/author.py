"""A language model as a Ray Data actor: questions in, answers out."""

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy

from actors.blocks import gpus_of_one, write_durable
from actors.cluster import own_device
from stickers import storage
from stickers.artifacts.schema import records_of
from stickers.prompts.language_model import ANSWERS, Ask, Author


class AuthorActor:
    """Takes a table of questions and returns a table of answers."""

    def __init__(self, folder: str) -> None:
        self.author = Author(storage.local_folder(folder), own_device())

    def __call__(self, table: pa.Table) -> pa.Table:
        """Answer every question of the table: schema `Ask` in, `ANSWERS` out."""
        asks = records_of(table, Ask)
        rows = [{"ask_id": a.ask_id, "bucket": a.bucket, "answer": self.author.write(a)} for a in asks]
        return pa.Table.from_pylist(rows, schema=ANSWERS)


def write_answers(asks: str, folder: str, target: str, gpus: float = 1.0) -> None:
    """Answer every question of the table `asks` that `target` lacks, each durable once it is answered."""

    def make() -> ray.data.Dataset:
        num_gpus, size = gpus_of_one(gpus)
        dataset = ray.data.read_parquet(asks).repartition(target_num_rows_per_block=1)
        dataset = dataset.map_batches(
            AuthorActor,
            fn_constructor_args=(folder,),
            batch_size=1,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(min_size=1, max_size=size),
            num_cpus=1,
            num_gpus=num_gpus,
        )
        dataset.set_name("author")
        return dataset

    write_durable(make, target, "ask_id")
