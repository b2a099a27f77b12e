"""Sets built from rows: sorted by id, frames and texts in shards, captions shared."""

from pathlib import Path
from typing import Any

import torch

from stickers.data.cache import FrameCache
from stickers.data.sets import SetBuilder
from stickers.data.shards import Shards, write_shard
from stickers.models.folders import load_autoencoder


def row_of(clip_id: str, caption: str, shard: str, first: int, text: str, text_row: int) -> dict[str, Any]:
    """A usable row of 4 frames in a shard of 8, at 32 pixels."""
    return {
        "clip_id": clip_id,
        "uri": f"/videos/{clip_id}.mp4",
        "caption": caption,
        "num_frames": 4,
        "fps": 8.0,
        "variable_fps": clip_id == "b",
        "cut_out": False,
        "shards": [shard],
        "shard_rows": [8],
        "firsts": [first],
        "text_shard": text,
        "text_rows": 2,
        "text_row": text_row,
    }


def test_a_set_is_sorted_by_id_and_points_into_its_shards(tmp_path: Path, tiny_foundations: Path) -> None:
    cache = FrameCache(runs=str(tmp_path), autoencoder="a", text="t", sizes=(32,))
    frames = torch.arange(8.0)[:, None, None, None].expand(8, 8, 2, 2).half()
    shard = write_shard(cache.folder(32), {"frames": frames, "track": torch.zeros(8, 3)})
    text = write_shard(cache.texts, {"texts": torch.arange(2.0).view(2, 1, 1).half()})
    builder = SetBuilder(cache, 32)
    builder.add(row_of("c", "a cat", shard, 0, text, 0))
    builder.add(row_of("b", "a dog", shard, 4, text, 1))
    builder.add(row_of("a", "a cat", shard, 4, text, 0))
    latents = builder.build(load_autoencoder(tiny_foundations))
    assert isinstance(latents.frames, Shards) and len(latents) == 3
    starts = [float(latents.frames[int(first)][0, 0, 0]) for first in latents.first]
    assert starts == [4, 4, 0] and latents.length.tolist() == [4, 4, 4]
    assert [float(latents.text(video)) for video in range(3)] == [0, 1, 0]
    assert latents.variable is not None and latents.variable.tolist() == [False, True, False]
