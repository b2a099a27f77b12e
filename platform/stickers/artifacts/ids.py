"""Identities are content hashes, equal on every machine: a rerun finds what an earlier run has made."""

from collections.abc import Mapping
from hashlib import blake2b
from json import dumps

ID_LENGTH = 26


def content_id(*parts: object) -> str:
    """26 lower-case letters and digits that change with any part; parts are JSON values or bytes."""
    digest = blake2b(digest_size=16)
    for part in parts:
        raw = part if isinstance(part, bytes) else dumps(part, sort_keys=True, ensure_ascii=False).encode()
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return _base32(digest.digest())


def prompt_id(text: str) -> str:
    """Identity of a prompt: its text."""
    return content_id("prompt", text)


def sticker_id(prompt: str, image_index: int, png: bytes) -> str:
    """Identity of a static sticker: its prompt's id, its index and its picture."""
    return content_id("sticker", prompt, image_index, png)


def candidate_id(
    *, sticker: str, prompt: str, checkpoint: str, seed: int, settings: Mapping[str, str | int | float | bool]
) -> str:
    """Identity of a candidate.

    Args:
        sticker: its sticker id.
        prompt: the prompt's text.
        checkpoint: the digest of the teacher's weights.
        seed: of the noise.
        settings: every sampler setting, as `dataclasses.asdict(SamplerSettings)` gives it.
    """
    return content_id("candidate", sticker, prompt, checkpoint, seed, dict(settings))


def clip_digest(strip: bytes) -> str:
    """Identity of the encoded clip that people judge."""
    return content_id("clip", strip)


def seed_from(*parts: object) -> int:
    """A seed in [0, 2**53) that depends on the parts alone; JSON and JavaScript keep it exact."""
    raw = content_id("seed", *parts).encode()
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "big") >> 11


def _base32(digest: bytes) -> str:
    number, letters = int.from_bytes(digest, "big"), "0123456789abcdefghjkmnpqrstvwxyz"
    return "".join(letters[(number >> (5 * place)) & 31] for place in reversed(range(ID_LENGTH)))
