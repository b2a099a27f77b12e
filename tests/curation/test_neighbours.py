"""Neighbours equal those of a plain comparison; embeddings equal those of a real CLIP."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stickers.curation.neighbours import (
    EMBEDDINGS,
    ClipEmbedder,
    agreement,
    embed,
    embedder_digest,
    nearest,
    read_vectors,
)
from stickers.curation.parts import Parts
from stickers.curation.video_tables import Unread, read_videos
from stickers.video.reading import read_video


def unit(rng: np.random.Generator, count: int, width: int = 16) -> np.ndarray:
    vectors = rng.standard_normal((count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_nearest_of_each_seed_are_united_with_their_best_score() -> None:
    rng = np.random.default_rng(0)
    seeds, pool = unit(rng, 5), unit(rng, 300)
    similarity = seeds @ pool.T
    expected = {int(row) for line in similarity for row in np.argsort(-line)[:7]}
    neighbours = nearest(seeds, pool, per_seed=7)
    assert {neighbour.row for neighbour in neighbours} == expected and len(neighbours) == len(expected)
    scores = [neighbour.score for neighbour in neighbours]
    assert scores == sorted(scores, reverse=True)
    for neighbour in neighbours:
        assert neighbour.seed == similarity[:, neighbour.row].argmax()
        assert neighbour.score == pytest.approx(similarity[:, neighbour.row].max(), abs=1e-5)


def test_a_small_pool_is_returned_in_full() -> None:
    rng = np.random.default_rng(1)
    assert len(nearest(unit(rng, 2), unit(rng, 5), per_seed=50)) == 5


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_approximate_indices_agree_better_the_harder_they_look(kind: str) -> None:
    rng = np.random.default_rng(2)
    seeds, pool = unit(rng, 40), unit(rng, 4000)
    exact = nearest(seeds, pool, per_seed=20, kind="exact")
    little, much = (nearest(seeds, pool, per_seed=20, kind=kind, effort=effort) for effort in (1, 4000))
    assert agreement(much, exact).recall > 0.98 and agreement(much, exact).precision > 0.98
    if kind == "ivf":  # an HNSW never looks at fewer candidates than it is asked for neighbours
        assert agreement(little, exact).recall < 0.6
    assert agreement(exact, exact).recall == agreement(exact, exact).precision == 1


def test_agreement_counts_both_ways() -> None:
    rng = np.random.default_rng(3)
    neighbours = nearest(unit(rng, 1), unit(rng, 8), per_seed=8)
    compared = agreement(neighbours[:4], neighbours[2:8])
    assert compared.precision == 2 / 4 and compared.recall == 2 / 6


def test_vectors_come_back_in_the_requested_order(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(5), 6)
    parts = Parts(str(tmp_path / "parts"), EMBEDDINGS)
    assert read_vectors(parts, []).shape == (0, 0)
    for rows in ((0, 1, 2), (2, 3), (4, 5)):
        parts.add([{"key": f"k{row}", "vector": vectors[row]} for row in rows])
    assert np.array_equal(read_vectors(parts, ["k4", "k2", "k0"]), vectors[[4, 2, 0]])


def test_an_empty_comparison_is_refused() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError, match="0 seeds cannot be compared with a pool of 3 videos"):
        nearest(unit(rng, 0), unit(rng, 3), per_seed=1)
    with pytest.raises(ValueError, match="must be at least 1, got 0 and 64"):
        nearest(unit(rng, 1), unit(rng, 3), per_seed=0)


def test_embeddings_are_the_mean_of_clips_own_features(clip_folder: Path, videos: Path) -> None:
    from transformers import CLIPImageProcessorPil, CLIPModel

    file = read_videos(videos).files[3]  # no alpha: what CLIP sees are the file's colours
    row = embed("k", file, ClipEmbedder(clip_folder, num_frames=5))
    assert not isinstance(row, Unread)
    frames = read_video(file)[0]
    shown = [Image.fromarray(frames[round(i * (len(frames) - 1) / 4)][..., :3]) for i in range(5)]
    pixels = CLIPImageProcessorPil.from_pretrained(clip_folder)(
        images=shown, return_tensors="pt"
    ).pixel_values
    with torch.no_grad():
        features = (
            CLIPModel.from_pretrained(clip_folder).get_image_features(pixel_values=pixels).pooler_output
        )
    mean = (features / features.norm(dim=-1, keepdim=True)).mean(0)
    assert np.allclose(row["vector"], (mean / mean.norm()).numpy(), atol=1e-5)


def test_any_function_of_frames_embeds_and_zero_vectors_are_refused(videos: Path, tmp_path: Path) -> None:
    file = read_videos(videos).files[0]
    row = embed("k", file, lambda frames: frames.mean((0, 1, 2)))
    assert not isinstance(row, Unread) and np.linalg.norm(row["vector"]) == pytest.approx(1)
    nothing = embed("k", file, lambda _: np.zeros(3))
    assert isinstance(nothing, Unread) and "its embedding has length 0" in nothing.reason
    (tmp_path / "bad.mp4").write_text("no video")
    assert isinstance(embed("k", str(tmp_path / "bad.mp4"), lambda _: np.ones(3)), Unread)


def test_folders_that_hold_no_such_model_are_refused(
    entity_folder: Path, clip_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="cannot be loaded as AutoModel: its weights lack pooler"):
        ClipEmbedder(entity_folder)
    with pytest.raises(ValueError, match="nowhere cannot be loaded as AutoModel: there is no such folder"):
        ClipEmbedder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="cannot be loaded as AutoModel: Unrecognized model"):
        ClipEmbedder(tmp_path)
    assert embedder_digest(clip_folder, 8) != embedder_digest(clip_folder, 4)
