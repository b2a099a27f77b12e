"""A text-to-image model as a Ray Data actor: drawings in, stickers out."""

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy

from actors.blocks import gpus_of_one, write_durable
from actors.cluster import own_device
from stickers import storage
from stickers.artifacts.records import Sticker
from stickers.artifacts.schema import records_of
from stickers.prompts.text_to_image import DRAWN, Drawing, StickerArtist, TextToImage

DRAWINGS_PER_BLOCK = 8


class Artist:
    """Takes a table of drawings and returns a table of the pictures drawn, or of the reasons why there is none."""

    def __init__(self, folder: str, size: int, template: str, seed: int, steps: int | None) -> None:
        draw = TextToImage(storage.local_folder(folder), own_device(), steps)
        self.artist = StickerArtist(draw, size, template, seed)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Draw every row of the table: schema `Drawing` in, pictures or reasons out."""
        drawings = records_of(table, Drawing)
        pictures = self.artist.make(drawings)
        rows = [
            {
                "drawing_id": drawing.drawing_id,
                "prompt_id": drawing.prompt_id,
                "image_index": drawing.image_index,
                "png": drawn.png if isinstance(drawn, Sticker) else None,
                "reason": "" if isinstance(drawn, Sticker) else drawn,
            }
            for drawing, drawn in zip(drawings, pictures, strict=True)
        ]
        return pa.Table.from_pylist(rows, schema=DRAWN)


def draw_stickers(
    drawings: str,
    target: str,
    *,
    folder: str,
    size: int,
    template: str,
    seed: int,
    steps: int | None,
    gpus: float = 1.0,
) -> None:
    """Draw every row of the table `drawings` that `target` lacks, block by block, each durable once it is drawn."""

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

    write_durable(make, target, "drawing_id")
