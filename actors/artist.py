"""A text-to-image model as a Ray Data actor: drawings in, stickers out."""

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy

from actors.blocks import gpus_of_one, write_durable
from stickers import storage
from stickers.artifacts.records import Sticker
from stickers.artifacts.schema import records_of
from stickers.prompts.text_to_image import DRAWN, Drawing, StickerArtist, TextToImage

DRAWINGS_PER_BLOCK = 8


class Artist:
    """Takes a table of drawings and gives one of what was drawn."""

    def __init__(self, folder: str, size: int, template: str, seed: int, steps: int | None) -> None:
        draw = TextToImage(storage.local_folder(folder), "cuda" if ray.get_gpu_ids() else "cpu", steps)
        self.artist = StickerArtist(draw, size, template, seed)

    def __call__(self, table: pa.Table) -> pa.Table:
        drawings = records_of(table, Drawing)
        made = self.artist.make(drawings)
        rows = [
            {
                "drawing_id": each.drawing_id,
                "prompt_id": each.prompt_id,
                "image_index": each.image_index,
                "png": found.png if isinstance(found, Sticker) else None,
                "reason": "" if isinstance(found, Sticker) else found,
            }
            for each, found in zip(drawings, made, strict=True)
        ]
        return pa.Table.from_pylist(rows, schema=DRAWN)


def draw_stickers(
    drawings: str,
    out: str,
    *,
    folder: str,
    size: int,
    template: str,
    seed: int,
    steps: int | None,
    gpus: float = 1.0,
) -> None:
    """Draw every row of the table `drawings` that `out` lacks, block by block, each durable once it is drawn."""

    def make() -> ray.data.Dataset:
        num_gpus, count = gpus_of_one(gpus)
        dataset = ray.data.read_parquet(drawings).repartition(target_num_rows_per_block=DRAWINGS_PER_BLOCK)
        dataset = dataset.map_batches(
            Artist,
            fn_constructor_args=(folder, size, template, seed, steps),
            batch_size=DRAWINGS_PER_BLOCK,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(min_size=1, max_size=count),
            num_cpus=1,
            num_gpus=num_gpus,
        )
        dataset.set_name("artist")
        return dataset

    write_durable(make, out, "drawing_id")
