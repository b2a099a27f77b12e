"""An actor that encodes what a plan's clips start from, and the pool that encodes all of it."""

import ray
import torch
from ray.util import ActorPool
from tqdm import tqdm

from stickers import storage
from stickers.candidates.conditions import Chunk, ConditionEncoder, chunk_file, chunks_of
from stickers.candidates.plan import Plan
from stickers.models.folders import load_autoencoder, load_text_encoder


class Encoder(ConditionEncoder):
    """`ConditionEncoder` with the models of a foundations folder, on a GPU if it was given one."""

    def __init__(self, place: str, foundations: str, size: int) -> None:
        device = "cuda" if ray.get_gpu_ids() else "cpu"
        if device == "cpu":
            torch.set_num_threads(1)
        autoencoder = load_autoencoder(foundations).to(device)
        super().__init__(place, autoencoder, load_text_encoder(foundations, device), size)


def encode_conditions(plan: Plan, place: str, foundations: str, size: int) -> None:
    """Encode the chunks of a plan that `place` lacks; each is durable as soon as it is done."""
    todo = [
        each
        for each in chunks_of(plan.prompts, plan.stickers)
        if not storage.exists(chunk_file(place, each.number))
    ]
    if not todo:
        return
    there = ray.cluster_resources()
    gpus = int(there.get("GPU", 0))
    count = min(len(todo), gpus or max(1, int(there.get("CPU", 1)) // 4))
    make = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_restarts=-1, max_task_retries=3)(Encoder)
    pool = ActorPool([make.remote(place, foundations, size) for _ in range(count)])
    done = pool.map_unordered(_encode, todo)
    for _ in tqdm(done, total=len(todo), desc="prompts and pictures", unit="chunk"):
        pass


def _encode(actor: ray.actor.ActorHandle, chunk: Chunk) -> ray.ObjectRef:
    return actor.encode.remote(chunk)
