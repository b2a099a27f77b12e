"""Video neighbours (paper 2.2): from a large pool, what looks like a few videos that people have chosen.

Each video becomes one vector, and the pool is searched with the chosen ones as seeds. The vector comes from any
function of frames. The one that ships averages an image model over a few frames, so it knows what a video shows and
little of how it moves; the paper reports that embeddings of motion and sound found much better neighbours than those
of frames alone, and a model of that kind fits in the same place.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from stickers.artifacts.ids import content_id
from stickers.curation.parts import KEY, Parts
from stickers.curation.pretrained import load_helper, load_model
from stickers.curation.video_tables import Unread, evenly_spaced, look
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.video.clips import on_white

if TYPE_CHECKING:
    import faiss

#: frames (uint8 RGBA `[T, H, W, 4]`) to a vector `[D]` of any length
Embedder = Callable[[np.ndarray], np.ndarray]
Kind = Literal["auto", "exact", "ivf", "hnsw"]

EMBEDDINGS = pa.schema([(KEY, pa.string()), ("vector", pa.list_(pa.float32()))])
NUM_FRAMES = 8
#: no image model that is used for this looks at more, in pixels
MAX_SIDE = 512
#: an exact search of more vectors takes noticeably long
EXACT_UP_TO = 200_000
#: links of a vector in an HNSW graph, and candidates looked at while one is put in
LINKS, BUILD_EFFORT = 32, 200
#: an inverted list wants that many vectors to learn its centre from
VECTORS_PER_LIST = 39


class ClipEmbedder:
    """A CLIP-class image model: the mean of its normalised features over evenly spaced frames, on white, normalised.

    `folder` is a transformers folder of a model with `get_image_features`, and of its image processor.
    """

    def __init__(self, folder: str | Path, *, num_frames: int = NUM_FRAMES, device: str = "cpu") -> None:
        self.num_frames, self.device = num_frames, device
        self.model = load_model("AutoModel", folder, device)
        if not hasattr(self.model, "get_image_features"):
            raise UserError(
                f"{folder} holds a {type(self.model).__name__}, which has no image features; use CLIP"
            )
        self.processor = load_helper("AutoImageProcessor", folder)

    @torch.inference_mode()
    def __call__(self, frames_THWC: np.ndarray) -> np.ndarray:
        """The vector float32 `[D]`, of length 1."""
        shown = on_white(evenly_spaced(frames_THWC, self.num_frames))[..., :3]
        inputs = self.processor(images=[Image.fromarray(frame) for frame in shown], return_tensors="pt")
        found = self.model.get_image_features(pixel_values=inputs["pixel_values"].to(self.device))
        features = getattr(found, "pooler_output", found).float()
        mean = torch.nn.functional.normalize(features, dim=-1).mean(0)
        return torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()


def embedder_digest(folder: str | Path, num_frames: int) -> str:
    """What the vectors of a model folder depend on; vectors of different ones cannot be compared."""
    return content_id("embedder", weights_digest(folder), num_frames)


def embed(key: str, file: str, embedder: Embedder) -> dict[str, Any] | Unread:
    """One row of `EMBEDDINGS`, its vector of length 1; or why there is none."""
    seen = look(file, MAX_SIDE)
    if isinstance(seen, Unread):
        return seen
    vector = np.asarray(embedder(seen[0]), np.float32)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        return Unread(file, f"{file}: its embedding has length {length}")
    return {KEY: key, "vector": vector / length}


def read_vectors(parts: Parts, keys: Sequence[str]) -> np.ndarray:
    """The known vectors of these keys, in their order: float32 `[len(keys), D]`."""
    rows = parts.table(set(keys))
    if not rows.num_rows:
        return np.zeros((0, 0), np.float32)
    place = {key: at for at, key in enumerate(rows[KEY].to_pylist())}
    flat = np.concatenate([chunk.flatten().to_numpy() for chunk in rows["vector"].chunks])
    return flat.reshape(rows.num_rows, -1)[[place[key] for key in keys]]


def distinct(contents: Sequence[str], wanted: Collection[str]) -> list[int]:
    """Where wanted contents stand; of equal ones the first."""
    first: dict[str, int] = {}
    for row, content in enumerate(contents):
        if content in wanted:
            first.setdefault(content, row)
    return list(first.values())


@dataclass(frozen=True)
class Neighbour:
    """A row of the pool, the seed it is nearest to, and their similarity: the cosine, at most 1."""

    row: int
    seed: int
    score: float


@dataclass(frozen=True)
class Agreement:
    """How an approximate search compares with the exact one: of what it found the share that is right, of what is
    right the share that it found."""

    precision: float
    recall: float


def nearest(
    seeds_SD: np.ndarray, pool_ND: np.ndarray, *, per_seed: int, kind: Kind = "auto", effort: int = 64
) -> list[Neighbour]:
    """The `per_seed` rows of the pool nearest to each seed, united: each row once, with its best seed, best first.

    Args:
        seeds_SD: vectors of length 1.
        pool_ND: likewise; neither seeds nor the same video twice.
        kind: exact compares with everything; ivf and hnsw look at a part of the pool; auto is exact up to
            `EXACT_UP_TO` rows and ivf above.
        effort: how much ivf (lists) and hnsw (candidates) look at; more is slower and finds more.

    Raises:
        UserError: there is no seed, no pool, or a number is not positive.
    """
    if not len(seeds_SD) or not len(pool_ND):
        raise UserError(f"{len(seeds_SD)} seeds cannot be compared with a pool of {len(pool_ND)} videos")
    if per_seed < 1 or effort < 1:
        raise UserError(f"neighbours a seed and effort must be at least 1, got {per_seed} and {effort}")
    index = build_index(pool_ND, kind, effort=max(effort, per_seed) if kind == "hnsw" else effort)
    scores_SK, rows_SK = index.search(np.ascontiguousarray(seeds_SD, np.float32), min(per_seed, len(pool_ND)))
    best: dict[int, Neighbour] = {}
    for seed, (scores, rows) in enumerate(zip(scores_SK.tolist(), rows_SK.tolist(), strict=True)):
        for score, row in zip(scores, rows, strict=True):
            # an approximate index that finds too few fills up with -1
            if row >= 0 and (row not in best or score > best[row].score):
                best[row] = Neighbour(row, seed, score)
    return sorted(best.values(), key=lambda each: (-each.score, each.row))


def build_index(pool_ND: np.ndarray, kind: Kind, *, effort: int) -> "faiss.Index":
    """A FAISS index of inner products over the pool, ready to search."""
    import faiss

    vectors = np.ascontiguousarray(pool_ND, np.float32)
    count, width = vectors.shape
    if kind == "auto":
        kind = "exact" if count <= EXACT_UP_TO else "ivf"
    index: Any
    if kind == "exact":
        index = faiss.IndexFlatIP(width)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(width, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = BUILD_EFFORT, effort
    else:
        lists = max(1, min(int(4 * sqrt(count)), count // VECTORS_PER_LIST))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, lists, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors)
        index.nprobe = min(effort, lists)
    index.add(vectors)
    return index


def agreement(found: Sequence[Neighbour], exact: Sequence[Neighbour]) -> Agreement:
    """How many of the rows two searches of the same pool share."""
    ours, theirs = {each.row for each in found}, {each.row for each in exact}
    both = len(ours & theirs)
    return Agreement(precision=both / max(1, len(ours)), recall=both / max(1, len(theirs)))
