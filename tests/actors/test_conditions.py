"""What clips start from is encoded with the models of a foundations folder, and nothing is encoded twice."""

from pathlib import Path

import ray
import torch
from safetensors.torch import load_file

from actors.conditions import Encoder, encode_conditions
from stickers.candidates.conditions import ConditionEncoder, chunk_file, chunks_of
from stickers.candidates.plan import PlannedTeacher, make_plan
from stickers.models.folders import load_autoencoder, load_text_encoder
from stickers.toy.grammar import toy_prompts, toy_stickers

SIZE = 32


def test_it_encodes_as_the_library_does_and_a_second_time_nothing(
    tiny_foundations: Path, tmp_path: Path
) -> None:
    prompts = toy_prompts(3, seed=0)
    plan = make_plan(prompts, toy_stickers(prompts, SIZE), [PlannedTeacher("calm", "digest", {})])
    (chunk,) = chunks_of(plan.prompts, plan.stickers)
    folder, library_folder = str(tmp_path / "actor"), str(tmp_path / "library")
    assert Encoder(folder, str(tiny_foundations), SIZE).encode(chunk) == 0
    models = load_autoencoder(str(tiny_foundations)), load_text_encoder(str(tiny_foundations))
    ConditionEncoder(library_folder, *models, SIZE).encode(chunk)
    encoded, expected = load_file(chunk_file(folder, 0)), load_file(chunk_file(library_folder, 0))
    assert encoded["image"].shape[0] == 6 and encoded["text"].shape[0] == 1 + 3
    assert all(torch.equal(encoded[name], expected[name]) for name in ("image", "text"))
    written = Path(chunk_file(folder, 0)).stat().st_mtime_ns
    encode_conditions(plan, folder, str(tiny_foundations), SIZE)
    assert Path(chunk_file(folder, 0)).stat().st_mtime_ns == written
    assert not ray.is_initialized(), "no cluster is needed to find that all is there"
