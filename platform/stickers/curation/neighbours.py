"""Video neighbours (paper 2.2): searches a large pool for videos similar to a few that people have chosen.

Each video becomes one vector, and the pool is searched with the chosen videos as seeds. Any function of frames can make
the vectors. The shipped one averages an image model over a few frames, so it captures what a video shows but little of
its motion. The paper reports much better neighbours with embeddings of motion and sound than with frames alone; a model
of that kind can take its place.
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
#: pixels; the usual image models read no larger pictures
MAX_SIDE = 512
#: an exact search of more vectors is noticeably slow
EXACT_UP_TO = 200_000
#: links of a vector in an HNSW graph, and candidates that are compared when one is added
LINKS, BUILD_EFFORT = 32, 200
#: vectors from which an inverted list learns its centre, and lists for the square root of the number of vectors
VECTORS_PER_LIST, LISTS_PER_ROOT = 39, 4


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
        """The vector, float32 `[D]`, of length 1."""
        shown = on_white(evenly_spaced(frames_THWC, self.num_frames))[..., :-1]
        inputs = self.processor(images=[Image.fromarray(frame) for frame in shown], return_tensors="pt")
        output = self.model.get_image_features(pixel_values=inputs["pixel_values"].to(self.device))
        features = getattr(output, "pooler_output", output).float()
        mean = torch.nn.functional.normalize(features, dim=-1).mean(0)
        vector: np.ndarray = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
        return vector


def embedder_digest(folder: str | Path, num_frames: int) -> str:
    """A hash of everything that decides a model folder's vectors; only vectors of equal digests can be compared."""
    return content_id("embedder", weights_digest(folder), num_frames)


def embed(key: str, file: str, embedder: Embedder) -> dict[str, Any] | Unread:
    """One row of `EMBEDDINGS` with a vector of length 1, or the reason why the video has none."""
    result = look(file, MAX_SIDE)
    if isinstance(result, Unread):
        return result
    vector = np.asarray(embedder(result[0]), np.float32)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        return Unread(file, f"{file}: its embedding has length {length}")
    return {KEY: key, "vector": vector / length}


def read_vectors(parts: Parts, keys: Sequence[str]) -> np.ndarray:
    """The stored vectors of these keys, in their order: float32 `[len(keys), D]`."""
    rows = parts.table(set(keys))
    if not rows.num_rows:
        return np.zeros((0, 0), np.float32)
    row_of = {key: row for row, key in enumerate(rows[KEY].to_pylist())}
    flat = np.concatenate([chunk.flatten().to_numpy() for chunk in rows["vector"].chunks])
    vectors: np.ndarray = flat.reshape(rows.num_rows, -1)[[row_of[key] for key in keys]]
    return vectors


def distinct(contents: Sequence[str], chosen: Collection[str]) -> list[int]:
    """The rows of the chosen contents; of equal ones the first."""
    first: dict[str, int] = {}
    for row, content in enumerate(contents):
        if content in chosen:
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
    """An approximate search beside the exact one: the share of right rows in it, and the share of right rows it has."""

    precision: float
    recall: float


def nearest(
    seeds_SD: np.ndarray, pool_ND: np.ndarray, *, per_seed: int, kind: Kind = "auto", effort: int = 64
) -> list[Neighbour]:
    """The rows of the pool that are among the `per_seed` nearest to any seed, best first, with their best seed.

    Args:
        seeds_SD: vectors of length 1.
        pool_ND: vectors of length 1, without the seeds and without repetitions.
        kind: exact compares all pairs; ivf and hnsw search a part of the pool; auto is exact up to `EXACT_UP_TO` rows
            and ivf above.
        effort: the lists (ivf) or candidates (hnsw) that are searched; more is slower and more complete.

    Raises:
        UserError: seeds or pool are empty, or a number is not positive.
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
            # An approximate index with too few results fills up with -1.
            if row >= 0 and (row not in best or score > best[row].score):
                best[row] = Neighbour(row, seed, score)
    return sorted(best.values(), key=lambda neighbour: (-neighbour.score, neighbour.row))


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
        lists = max(1, min(int(LISTS_PER_ROOT * sqrt(count)), count // VECTORS_PER_LIST))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, lists, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors)
        index.nprobe = min(effort, lists)
    index.add(vectors)
    return index


def agreement(approximate: Sequence[Neighbour], exact: Sequence[Neighbour]) -> Agreement:
    """Compare the rows of two searches of the same pool."""
    rows = {neighbour.row for neighbour in approximate}
    right_rows = {neighbour.row for neighbour in exact}
    num_shared = len(rows & right_rows)
    return Agreement(precision=num_shared / max(1, len(rows)), recall=num_shared / max(1, len(right_rows)))
