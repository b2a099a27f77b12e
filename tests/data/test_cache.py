"""The frame-latent cache: encoded once, sampled at any rate, equal to decoding online, never stale."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stickers import storage
from stickers.data.cache import (
    CollectionEncoder,
    FrameCache,
    forget_files,
    mark_duplicates,
    originals,
    spans_of,
)
from stickers.data.collections import Listed
from stickers.data.latents import LatentSet
from stickers.data.mixture import Mixture
from stickers.data.motion_buckets import MotionBuckets
from stickers.data.sets import SetBuilder
from stickers.data.shards import Shards
from stickers.models.folders import load_autoencoder, load_text_encoder
from stickers.toy.video_files import write_clip

CLIPS = 5


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Listed]]:
    folder = tmp_path_factory.mktemp("videos")
    rows = [write_clip(str(folder), "keyword", i, seed=3) for i in range(CLIPS)]
    return [
        (f"id-{i}", Listed(str(folder / row["file"]), row["caption"], "keyword"))
        for i, row in enumerate(rows)
    ]


@pytest.fixture
def cache(tmp_path: Path) -> FrameCache:
    return FrameCache(runs=str(tmp_path / "runs"), autoencoder="a1", text="t1", sizes=(32, 64))


def encoder(cache: FrameCache, foundations: Path) -> CollectionEncoder:
    return CollectionEncoder(cache, load_autoencoder(foundations), load_text_encoder(foundations))


def built(cache: FrameCache, rows: list[dict[str, Any]], size: int, foundations: Path) -> LatentSet:
    builder = SetBuilder(cache, size)
    for row in rows:
        if row["status"] == "ready":
            builder.add(row)
    return builder.build(load_autoencoder(foundations))


def everything(latents: LatentSet) -> Iterator[torch.Tensor]:
    for index in range(len(latents)):
        yield latents.clip(index, fps=8, num_frames=8, start_fraction=0.4)
        yield latents.clip(index, fps=4, num_frames=8, start_fraction=None)
        yield latents.text(index)


def test_cached_and_online_batches_are_equal_bit_for_bit(
    videos: list[tuple[str, Listed]], cache: FrameCache, tiny_foundations: Path, tmp_path: Path
) -> None:
    rows = encoder(cache, tiny_foundations).encode(videos)
    online = replace(cache, with_frames=False)
    online_rows = encoder(online, tiny_foundations).encode(videos)
    autoencoder = load_autoencoder(tiny_foundations)
    for size in cache.sizes:
        cached = built(cache, rows, size, tiny_foundations)
        decoded = built(online, online_rows, size, tiny_foundations)
        for name, latents in (("cached", cached), ("online", decoded)):
            latents.save(tmp_path / f"{name}.safetensors")
        again = LatentSet.load(tmp_path / "cached.safetensors")
        live = LatentSet.load(tmp_path / "online.safetensors", autoencoder)
        assert isinstance(again.frames, Shards)
        settings = {
            "datasets": [("a", 1.0)],
            "fps": MotionBuckets(edges=(20.0,), rates=(4, 8)),
            "num_frames": 8,
            "conditioning_frame": "random",
            "batch_size": 6,
            "seed": 5,
        }
        for step in range(3):
            one, other = (
                Mixture({"a": latents}).batch(**settings, step=step)  # type: ignore[arg-type]
                for latents in (again, live)
            )
            assert torch.equal(one.z_BTCHW, other.z_BTCHW) and torch.equal(one.image_BCHW, other.image_BCHW)
            assert torch.equal(one.context_BLD, other.context_BLD)
    with pytest.raises(ValueError, match="are made from videos, which needs the autoencoder"):
        LatentSet.load(tmp_path / "online.safetensors")


def test_a_cached_file_is_not_decoded_again_under_another_name(
    videos: list[tuple[str, Listed]], cache: FrameCache, tiny_foundations: Path
) -> None:
    first = encoder(cache, tiny_foundations)
    rows = first.encode(videos)
    assert first.num_decoded == CLIPS
    cache.remember("one", rows)
    renamed = [
        (f"new-{i}", replace(video, caption="a dog", source="x")) for i, (_, video) in enumerate(videos)
    ]
    fresh = FrameCache(**{name: getattr(cache, name) for name in ("runs", "autoencoder", "text", "sizes")})
    second = encoder(fresh, tiny_foundations)
    again = second.encode(renamed)
    assert second.num_decoded == 0
    assert [row["shards"] for row in again] == [row["shards"] for row in rows]
    assert {row["caption"] for row in again} == {"a dog"} and {row["source"] for row in again} == {"x"}
    one, other = (built(cache, version, 64, tiny_foundations) for version in (rows, again))
    clips = zip(list(everything(one))[::3], list(everything(other))[::3], strict=True)
    assert all(torch.equal(a, b) for a, b in clips)


def test_another_encoder_size_or_file_is_another_entry(
    videos: list[tuple[str, Listed]], cache: FrameCache, tiny_foundations: Path
) -> None:
    rows = encoder(cache, tiny_foundations).encode(videos)
    cache.remember("one", rows)
    for other in (
        replace(cache, autoencoder="a2"),
        replace(cache, sizes=(48,)),
        replace(cache, with_frames=False),
    ):
        assert not other.entries
    assert len(replace(cache, sizes=(64,)).entries) == CLIPS
    path = Path(videos[0][1].path)
    before = path.read_bytes()
    path.write_bytes(Path(videos[1][1].path).read_bytes() + b"\0\0\0\x08free")
    changed = encoder(replace(cache), tiny_foundations)
    changed.encode(videos[:1])
    path.write_bytes(before)
    assert changed.num_decoded == 1


def test_a_batch_of_two_sizes_adds_only_the_missing_one(
    videos: list[tuple[str, Listed]], cache: FrameCache, tiny_foundations: Path
) -> None:
    small = replace(cache, sizes=(32,))
    rows = encoder(small, tiny_foundations).encode(videos)
    small.remember("small", rows)
    both = encoder(replace(cache), tiny_foundations).encode(videos)
    assert [row["shards"][0] for row in both] == [row["shards"][0] for row in rows]
    assert len(storage.listing(cache.folder(32))) == 2  # one shard and the index
    assert all(row["shards"][1] for row in both)


def test_the_same_file_twice_in_one_collection_is_used_once(
    videos: list[tuple[str, Listed]], cache: FrameCache, tiny_foundations: Path
) -> None:
    copies = [
        *videos,
        ("id-9", replace(videos[0][1], caption="again")),
        ("id-8", replace(videos[0][1], source="x")),
    ]
    rows = encoder(cache, tiny_foundations).encode(copies)
    for order in (rows, rows[::-1]):
        marked = {row["clip_id"]: row for row in mark_duplicates(order, originals(rows))}
        assert [clip_id for clip_id, row in marked.items() if row["status"] == "duplicate"] == ["id-9"]
        assert "is the same file as clip id-0" in marked["id-9"]["reason"]


def test_a_missing_file_does_not_disturb_its_neighbours(
    videos: list[tuple[str, Listed]], cache: FrameCache, tiny_foundations: Path
) -> None:
    absent = ("gone", Listed("/nowhere/x.mp4", "", "keyword"))
    rows = encoder(cache, tiny_foundations).encode([videos[0], absent, videos[1]])
    assert [row["status"] for row in rows] == ["ready", "refused", "ready"]
    assert "/nowhere/x.mp4 does not exist" in rows[1]["reason"]
    assert len(built(cache, rows, 32, tiny_foundations)) == 2


def test_a_withdrawn_file_is_refused_whatever_it_is_called_and_forgotten(
    videos: list[tuple[str, Listed]], cache: FrameCache, tiny_foundations: Path
) -> None:
    rows = encoder(cache, tiny_foundations).encode(videos)
    cache.remember("first", rows)
    content = rows[1]["content"]
    folder = cache.folder(32)
    spans = spans_of(folder, [content])
    (((first, count),),) = spans.values()
    assert (first, count) == (rows[1]["firsts"][0], rows[1]["num_frames"])
    latents = built(cache, rows, 32, tiny_foundations)
    before = latents.frames[torch.arange(len(latents.frames))].clone()
    forget_files(folder, [content], spans)
    after = latents.frames[torch.arange(len(latents.frames))]
    changed = (before != after).flatten(1).any(1)
    assert changed[first : first + count].all() and int(changed.sum()) == count
    assert not after[first : first + count].any() and spans_of(folder, [content]) == {}
    strict = replace(cache, withdrawn=frozenset([content]))
    (again,) = encoder(strict, tiny_foundations).encode([("new id", videos[1][1])])
    assert again["status"] == "refused" and again["reason"] == f"{videos[1][1].path} was withdrawn"
    assert (content, 32) not in strict.entries and len(strict.entries) == 2 * CLIPS - 1
