"""Identities do not depend on the machine and change with everything that changes the pixels."""

from dataclasses import asdict, fields

import pytest

from stickers.artifacts.ids import candidate_id, clip_digest, content_id, prompt_id, seed_from, sticker_id
from stickers.diffusion.sampling import SamplerSettings

BASE = {"sticker": "s", "prompt": "a cat waving", "checkpoint": "c", "seed": 7}


def test_ids_are_the_same_on_every_machine() -> None:
    assert content_id("prompt", "a fox") == "6eferm3w5rwfyq4tc95x52z5t8"
    assert seed_from("a", 1) == 3568618869044910
    assert len(candidate_id(**BASE, settings=asdict(SamplerSettings()))) == 26


@pytest.mark.parametrize("name", list(BASE))
def test_candidate_id_changes_with_every_part(name: str) -> None:
    settings = asdict(SamplerSettings())
    other = BASE | {name: 8 if name == "seed" else "other"}
    assert candidate_id(**BASE, settings=settings) != candidate_id(**other, settings=settings)


@pytest.mark.parametrize("name", [field.name for field in fields(SamplerSettings)])
def test_candidate_id_changes_with_every_sampler_setting(name: str) -> None:
    settings = asdict(SamplerSettings())
    value = "ddim" if name == "solver" else settings[name] + 1
    assert candidate_id(**BASE, settings=settings) != candidate_id(**BASE, settings=settings | {name: value})


def test_parts_cannot_run_into_each_other() -> None:
    assert content_id("ab", "c") != content_id("a", "bc")


def test_each_kind_of_identity_has_a_space_of_its_own() -> None:
    identities = [prompt_id("a"), sticker_id("a", 0, b""), clip_digest(b"a"), content_id("a")]
    assert len(set(identities)) == 4 and all(len(identity) == 26 for identity in identities)
    assert sticker_id("a", 0, b"x") != sticker_id("a", 1, b"x") != sticker_id("a", 1, b"y")
    assert 0 <= seed_from("a") < 2**53 and seed_from("a") != seed_from("b")
