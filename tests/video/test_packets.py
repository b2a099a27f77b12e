"""Packets against what the encoder was told: where decoding can start, and which frames it can leave out."""

from pathlib import Path

import numpy as np
import pytest

from stickers.video.packets import (
    decode_indices,
    decoded,
    ended,
    index_packets,
    opened,
    serves_others,
    stands_alone,
)
from stickers.video.source import Source, UnreadableVideoError
from tests.support.films import FILMS, drifting, encode


def test_decoding_starts_late_and_leaves_out_what_serves_nothing(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", drifting(60), g="20", sc_threshold="0")
    with opened(Source(path), num_threads=1) as film:
        index = index_packets(film)
        starts = [i for i, packet in enumerate(index.packets) if stands_alone(film, packet)]
        spared = [packet for packet in index.packets if not serves_others(film, packet)]
    assert starts == [0, 20, 40] and len(spared) > 10
    with opened(Source(path), num_threads=1) as film:
        assert len(index_packets(film, 8).packets) < 40


def test_a_gradual_refresh_is_no_place_to_start(tmp_path: Path) -> None:
    codec, options = FILMS["refresh.mp4"]
    path = encode(tmp_path / "a.mp4", drifting(40), codec, **options)
    with opened(Source(path), num_threads=1) as film:
        packets = index_packets(film).packets
        assert sum(packet.is_keyframe for packet in packets) > 1
        assert [stands_alone(film, packet) for packet in packets] == [True] + [False] * 39


@pytest.mark.parametrize("name", ["default.mp4", "annex-b.ts"])
def test_few_packets_give_the_pixels_of_all(tmp_path: Path, name: str) -> None:
    codec, options = FILMS[name]
    source = Source(encode(tmp_path / name, drifting(40), codec, **options))
    with opened(source, num_threads=1) as film:
        frames = [film.upright(frame, (64, 64)) for frame in decoded(film)]
    with opened(source, num_threads=1) as film:
        index = index_packets(film)
        chosen = decode_indices(film, index, {3, 33})
        assert chosen is not None and sorted(chosen) == [3, 33]
        for number, frame in chosen.items():
            assert np.array_equal(film.upright(frame, (64, 64)), frames[number])
        assert len(list(ended(index.packets))) == len(index.packets) + 1


def test_a_file_without_video_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video at all\n" * 200)
    with (
        pytest.raises(UnreadableVideoError, match="text.mp4: cannot be decoded as a video"),
        opened(Source(str(text)), num_threads=1),
    ):
        pass
