"""Ray Data stages round the models that curation asks about videos: files in, vectors or words out."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import ray
import torch
from ray.data import ActorPoolStrategy

from stickers.curation.captions import BlipCaptioner, Entities, TokenEntities, describe, phrases
from stickers.curation.neighbours import ClipEmbedder, embed
from stickers.curation.parts import KEY
from stickers.curation.video_tables import Unread

#: the columns of a request; a video that cannot be read comes back with a reason
REQUESTS = pa.schema([(name, pa.string()) for name in (KEY, "file", "caption")])
REASON = "reason"
#: rows of a block, which is what a stopped run loses
BLOCK = 32
BATCH = 8


class VideoEmbedder:
    """Holds the image model; one call embeds a batch of files."""

    def __init__(self, folder: str, num_frames: int) -> None:
        torch.set_num_threads(1)
        self.embedder = ClipEmbedder(folder, num_frames=num_frames, device=_device())

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Each request with the vector of its file, or the reason why there is none."""
        kind = pa.schema([*REQUESTS, (REASON, pa.string()), ("vector", pa.list_(pa.float32()))])
        rows = []
        for row in batch.to_pylist():
            embedding = embed(row[KEY], row["file"], self.embedder)
            answer = (
                {REASON: embedding.reason} if isinstance(embedding, Unread) else {REASON: "", **embedding}
            )
            rows.append({**row, **answer})
        return pa.Table.from_pylist(rows, schema=kind)


class VideoCaptioner:
    """Holds the captioner and the entity finder; one call describes a batch of files."""

    def __init__(self, captioner: str, entities: str | None, num_frames: int, num_beams: int) -> None:
        torch.set_num_threads(1)
        self.captioner = BlipCaptioner(
            captioner, num_frames=num_frames, num_beams=num_beams, device=_device()
        )
        self.entities: Entities = TokenEntities(entities, device=_device()) if entities else phrases

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Each request with captions and entities of its file, or the reason why there are none."""
        texts = pa.list_(pa.string())
        kind = pa.schema([*REQUESTS, (REASON, pa.string()), ("frames", texts), ("entities", texts)])
        requests = batch.to_pylist()
        answers, unread = describe(requests, self.captioner, self.entities)
        by_key = {row[KEY]: {REASON: "", **row} for row in answers}
        reasons = {failure.file: {REASON: failure.reason} for failure in unread}
        rows = [{**row, **by_key.get(row[KEY], reasons.get(row["file"], {}))} for row in requests]
        return pa.Table.from_pylist(rows, schema=kind)


def ask(
    rows: list[dict[str, str]], actor: type[VideoEmbedder] | type[VideoCaptioner], *settings: Any
) -> Iterator[list[dict[str, Any]]]:
    """Send rows (key, file, caption) through actors of one kind, and yield their answers block by block.

    Each row comes back once, in any order, with `reason` set where the video cannot be read. A cluster with GPUs has an
    actor for each GPU, others have one for every two CPUs.
    """
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    pool = max(1, min(gpus or int(resources.get("CPU", 1)) // 2, -(-len(rows) // BLOCK)))
    dataset = ray.data.from_arrow(pa.Table.from_pylist(rows, schema=REQUESTS))
    dataset = dataset.repartition(target_num_rows_per_block=BLOCK).map_batches(
        actor,
        fn_constructor_args=settings,
        batch_size=BATCH,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=pool),
        num_cpus=1,
        num_gpus=1 if gpus else 0,
    )
    for block in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
        yield block.to_pylist()


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
