"""Clips of a kept set become latents in the order in which they came; what is there is not repeated."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from actors import kept_encoder
from actors.cluster import connect
from actors.kept_encoder import KeptClip, KeptEncoder, encode_kept
from stickers.data.encoding import canonical, encode_frames
from stickers.errors import UserError
from stickers.models.folders import load_autoencoder
from stickers.video.codec import encode_strip

SIZE = 32


def kept_clips(count: int) -> list[KeptClip]:
    """Clips of three to five frames, each of a grey of its own."""
    return [
        KeptClip(
            strip=encode_strip(np.full((3 + i % 3, SIZE, SIZE, 4), 10 + 3 * i, np.uint8)),
            num_frames=3 + i % 3,
            fps=8.0,
            prompt=f"a cat waving {i % 2}",
        )
        for i in range(count)
    ]


def test_an_actor_writes_the_frames_of_its_chunk(tiny_foundations: Path, tmp_path: Path) -> None:
    encoder = KeptEncoder(str(tiny_foundations), SIZE)
    assert encoder.encode(str(tmp_path), 4, kept_clips(2)) == 4
    (chunk,) = tmp_path.rglob("*.safetensors")
    frames = [np.full((length, SIZE, SIZE, 4), grey, np.uint8) for length, grey in ((3, 10), (4, 13))]
    autoencoder = load_autoencoder(str(tiny_foundations))
    expected = torch.cat([encode_frames(autoencoder, canonical(clip, SIZE)) for clip in frames])
    assert chunk.stem == "00004" and torch.equal(load_file(chunk)["frames"], expected)


def test_nothing_to_encode_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no usable clip"):
        encode_kept(iter([]), 0, str(tmp_path), "nowhere", SIZE)


@pytest.fixture
def cluster() -> Iterator[None]:
    with connect(num_cpus=2):
        yield


@pytest.mark.ray
@pytest.mark.long
def test_all_clips_come_in_their_order_and_a_chunk_that_is_there_stays(
    cluster: None, tiny_foundations: Path, tmp_path: Path
) -> None:
    clips, folder = kept_clips(kept_encoder.CLIPS_PER_CHUNK + 3), str(tmp_path)
    KeptEncoder(str(tiny_foundations), SIZE).encode(folder, 0, clips[: kept_encoder.CLIPS_PER_CHUNK])
    (chunk,) = tmp_path.rglob("*.safetensors")
    written = chunk.stat().st_mtime_ns
    latents = encode_kept(iter(clips), len(clips), folder, str(tiny_foundations), SIZE)
    assert chunk.stat().st_mtime_ns == written and len(list(tmp_path.rglob("*.safetensors"))) == 2
    assert latents.length.tolist() == [clip.num_frames for clip in clips]
    assert latents.first.tolist()[-1] + clips[-1].num_frames == len(latents.frames)
    assert latents.text_of.tolist() == [i % 2 for i in range(len(clips))] and len(latents.texts) == 2
    alone = KeptEncoder(str(tiny_foundations), SIZE)
    alone.encode(str(tmp_path / "alone"), 0, clips[-1:])
    (last,) = (tmp_path / "alone").rglob("*.safetensors")
    assert torch.equal(latents.frames[-clips[-1].num_frames :], load_file(last)["frames"])
