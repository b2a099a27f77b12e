"""Actors that encode the pictures and prompts from which a plan's clips start."""

import ray
import torch
from ray.util import ActorPool

from actors.cluster import own_device
from actors.screen import track
from stickers import storage
from stickers.candidates.conditions import Chunk, ConditionEncoder, chunk_file, chunks_of
from stickers.candidates.plan import Plan
from stickers.models.folders import load_autoencoder, load_text_encoder


class Encoder(ConditionEncoder):
    """`ConditionEncoder` with the models of a foundations folder, on a GPU where it has one."""

    def __init__(self, folder: str, foundations: str, size: int) -> None:
        device = own_device()
        if device == "cpu":
            torch.set_num_threads(1)
        autoencoder = load_autoencoder(foundations).to(device)
        super().__init__(folder, autoencoder, load_text_encoder(foundations, device), size)


def encode_conditions(plan: Plan, folder: str, foundations: str, size: int) -> None:
    """Encode the chunks of a plan that `folder` lacks; each is durable as soon as it is written."""
    todo = [
        chunk
        for chunk in chunks_of(plan.prompts, plan.stickers)
        if not storage.exists(chunk_file(folder, chunk.number))
    ]
    if not todo:
        return
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    count = min(len(todo), gpus or max(1, int(resources.get("CPU", 1)) // 4))
    make = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_restarts=-1, max_task_retries=3)(Encoder)
    pool = ActorPool([make.remote(folder, foundations, size) for _ in range(count)])
    done = pool.map_unordered(_encode, todo)
    for _ in track(done, "encode prompts and pictures", len(todo), "chunks"):
        pass


def _encode(actor: ray.actor.ActorHandle, chunk: Chunk) -> ray.ObjectRef:
    return actor.encode.remote(chunk)
