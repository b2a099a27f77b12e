"""Bad video files on demand: small good ones of every kind that is read, and the ways to damage them.

Some damage is blind (flipped bits, cut ends). Other damage is a lie in a header (no frames, a million frames, a rate of
zero, pictures of no or of giant size). One seed and index always give the same file.
"""

import io
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

from stickers.video.codec import encode_animation, write_video

SIDE, NUM_FRAMES, FPS = 48, 12, 12


def sample_frames() -> np.ndarray:
    """A coloured disc that crosses a transparent picture, uint8 RGBA `[T, H, W, 4]`."""
    y, x = np.mgrid[:SIDE, :SIDE]
    frames = np.zeros((NUM_FRAMES, SIDE, SIDE, 4), np.uint8)
    for t, frame in enumerate(frames):
        frame[..., 0], frame[..., 1] = 200, y * 4
        frame[..., 3] = np.where(np.hypot(y - SIDE / 2, x - SIDE * (t + 2) / 16) < SIDE / 5, 255, 0)
    return frames


def encode_webm(frames_THWC: np.ndarray, fps: float) -> bytes:
    """VP9 with alpha."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="webm") as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libvpx-vp9", rate=rate, options={"cpu-used": "8", "crf": "30"})
        stream.height, stream.width = frames_THWC.shape[1:3]
        stream.pix_fmt, stream.metadata["alpha_mode"] = "yuva420p", "1"
        for pixels in frames_THWC:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


@cache
def good_files() -> dict[str, bytes]:
    """One small usable file of each kind, by its ending."""
    frames = sample_frames()
    files = {"webm": encode_webm(frames, FPS)}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("mp4", "mov"):
            path = Path(folder) / f"a.{kind}"
            write_video(str(path), frames, FPS)
            files[kind] = path.read_bytes()
    for kind in ("gif", "webp", "apng"):
        files[kind] = encode_animation(frames, FPS, f"image/{kind}")
    return dict(sorted(files.items()))


@dataclass(frozen=True)
class Mutant:
    """A bad file: `kind` is the ending of the good file that it was made from, `mutation` the damage."""

    kind: str
    mutation: str
    data: bytes


def mutants(count: int, seed: int) -> list[Mutant]:
    """`count` files that go through all kinds and mutations in turn."""
    files, names = good_files(), list(MUTATIONS)
    kinds = list(files)
    variants = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        kind = kinds[index % len(kinds)]
        name = names[index // len(kinds) % len(names)]
        variants.append(Mutant(kind, name, MUTATIONS[name](files[kind], kind, rng)))
    return variants


def flip_bits(data: bytes, _kind: str, rng: np.random.Generator) -> bytes:
    """Flip one to a hundred bits anywhere."""
    mutated = bytearray(data)
    for _ in range(int(10 ** rng.uniform(0, 2))):
        mutated[rng.integers(len(mutated))] ^= 1 << int(rng.integers(8))
    return bytes(mutated)


def spoil_head(data: bytes, _kind: str, rng: np.random.Generator) -> bytes:
    """Overwrite up to twenty bytes within the first 256 and the last 1024, where formats keep their tables."""
    mutated = bytearray(data)
    places = [*range(4, min(256, len(data))), *range(max(0, len(data) - 1024), len(data))]
    for _ in range(int(rng.integers(1, 20))):
        mutated[places[rng.integers(len(places))]] = int(
            rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))])
        )
    return bytes(mutated)


def truncate(data: bytes, _kind: str, rng: np.random.Generator) -> bytes:
    """Cut the file off at a random position."""
    return data[: int(rng.integers(1, len(data)))]


def move_bytes(data: bytes, _kind: str, rng: np.random.Generator) -> bytes:
    """Take a piece out, repeat it, or overwrite it with noise."""
    start = int(rng.integers(len(data)))
    end = min(len(data), start + int(rng.integers(1, 200)))
    choice = rng.integers(3)
    middle = (b"", data[start:end] * 2, rng.bytes(end - start))[choice]
    return data[:start] + middle + data[end:]


@dataclass(frozen=True)
class Field:
    """A field of a header: `size` bytes, `offset` bytes after each `marker`."""

    marker: bytes
    offset: int
    size: int
    order: str = "big"


#: by what the headers lie about: where, in each kind
FIELDS: dict[str, dict[str, list[Field]]] = {
    "rate": {
        "mp4": [Field(b"stts", 16, 4), Field(b"mdhd", 16, 4)],
        "webm": [Field(b"\x2a\xd7\xb1", 4, 3), Field(b"\x23\xe3\x83", 4, 3)],
        "gif": [Field(b"\x21\xf9\x04", 4, 2, "little")],
        "webp": [Field(b"ANMF", 20, 3, "little")],
        "apng": [Field(b"fcTL", 24, 2), Field(b"fcTL", 26, 2)],
    },
    "count": {
        "mp4": [Field(b"stsz", 12, 4), Field(b"stts", 12, 4), Field(b"stsc", 16, 4)],
        "webm": [Field(b"\x1f\x43\xb6\x75", 4, 4)],
        "gif": [Field(b"\x2c", 4, 4, "little")],
        "webp": [Field(b"ANMF", 4, 4, "little")],
        "apng": [Field(b"acTL", 4, 4)],
    },
    "size": {
        "mp4": [Field(b"avc1", 28, 2), Field(b"avc1", 30, 2), Field(b"png ", 28, 2), Field(b"IHDR", 4, 4)],
        "webm": [Field(b"\xb0\x81", 2, 1), Field(b"\xba\x81", 2, 1), Field(b"\x49\x83\x42", 3, 4)],
        "gif": [Field(b"GIF89a", 6, 2, "little"), Field(b"GIF89a", 8, 2, "little")],
        "webp": [Field(b"VP8X", 12, 3, "little"), Field(b"VP8X", 15, 3, "little")],
        "apng": [Field(b"IHDR", 4, 4), Field(b"IHDR", 8, 4), Field(b"fcTL", 8, 4)],
    },
}
Mutation = Callable[[bytes, str, np.random.Generator], bytes]


def lie(about: str, claim: int | None) -> Mutation:
    """Write `claim` into some of the fields, cut to their size; None writes a random value each time."""

    def mutate(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
        fields = FIELDS[about]["mp4" if kind == "mov" else kind]
        chosen = [field for field in fields if rng.random() < 0.6] or fields[:1]
        mutated = bytearray(data)
        for field in chosen:
            most = (1 << 8 * field.size) - 1
            value = int(most * rng.random() ** 4) if claim is None else min(claim, most)
            _state(mutated, field, value)
        return _checked_again(mutated) if kind == "apng" else bytes(mutated)

    return mutate


def _state(data: bytearray, field: Field, value: int) -> None:
    at = data.find(field.marker)
    while at >= 0:
        position = at + field.offset
        if position + field.size <= len(data):
            data[position : position + field.size] = value.to_bytes(field.size, field.order)  # type: ignore[arg-type]
        at = data.find(field.marker, at + 1)


def _checked_again(data: bytearray) -> bytes:
    """A PNG whose chunks have correct checksums again, so that readers get as far as the lie."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(data)


MUTATIONS: dict[str, Mutation] = {
    "bits flipped": flip_bits,
    "tables spoiled": spoil_head,
    "cut off": truncate,
    "bytes moved": move_bytes,
    "rate zero": lie("rate", 0),
    "rate untrue": lie("rate", None),
    "no frames": lie("count", 0),
    "a million frames": lie("count", 1_000_000),
    "0x0 pixels": lie("size", 0),
    "giant pixels": lie("size", 1 << 31),
    "size untrue": lie("size", None),
}
