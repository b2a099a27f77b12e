"""Identities are content hashes, equal on all machines, so that a rerun recognises the results of an earlier run."""

from collections.abc import Mapping
from hashlib import blake2b
from json import dumps

#: characters of an id: as many as its digest needs, at five bits each
ID_LENGTH, DIGEST_BYTES, BITS_PER_LETTER = 26, 16, 5
#: digits and lower-case letters without i, l, o and u, as in Crockford's base 32
LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
#: bytes of the length in front of each part
LENGTH_BYTES = 8
#: seeds have 53 bits, all that JavaScript's numbers keep exact
SEED_BYTES, DROPPED_SEED_BITS = 8, 11


def content_id(*parts: object) -> str:
    """26 letters and digits that change with any part; parts are JSON values or bytes."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        raw = part if isinstance(part, bytes) else dumps(part, sort_keys=True, ensure_ascii=False).encode()
        digest.update(len(raw).to_bytes(LENGTH_BYTES, "big") + raw)
    return _base32(digest.digest())


def prompt_id(text: str) -> str:
    """Identity of a prompt: a hash of its text."""
    return content_id("prompt", text)


def sticker_id(prompt: str, image_index: int, png: bytes) -> str:
    """Identity of a static sticker: a hash of its prompt's id, its index and its picture."""
    return content_id("sticker", prompt, image_index, png)


def candidate_id(
    *, sticker: str, prompt: str, checkpoint: str, seed: int, settings: Mapping[str, str | int | float | bool]
) -> str:
    """Identity of a candidate.

    Args:
        sticker: the sticker's id.
        prompt: the prompt's text.
        checkpoint: the digest of the teacher's weights.
        seed: the seed of the noise.
        settings: all sampler settings, as `dataclasses.asdict(SamplerSettings)`.
    """
    return content_id("candidate", sticker, prompt, checkpoint, seed, dict(settings))


def clip_digest(strip: bytes) -> str:
    """Identity of the encoded clip that people judge."""
    return content_id("clip", strip)


def seed_from(*parts: object) -> int:
    """A seed in [0, 2**53) that depends on the parts alone; JSON and JavaScript keep it exact."""
    raw = content_id("seed", *parts).encode()
    return int.from_bytes(blake2b(raw, digest_size=SEED_BYTES).digest(), "big") >> DROPPED_SEED_BITS


def _base32(digest: bytes) -> str:
    number = int.from_bytes(digest, "big")
    shifts = (BITS_PER_LETTER * position for position in reversed(range(ID_LENGTH)))
    return "".join(LETTERS[(number >> shift) % len(LETTERS)] for shift in shifts)
