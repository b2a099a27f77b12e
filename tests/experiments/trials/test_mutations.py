"""Bad files on demand: the good ones are usable, and each mutation does what it is called."""

from pathlib import Path

import numpy as np
import pytest

from experiments.trials.mutations import MUTATIONS, NUM_FRAMES, SIDE, good_files, lie, mutants
from stickers.video.reading import read_video


def test_one_seed_makes_the_same_files() -> None:
    assert mutants(70, seed=3) == mutants(70, seed=3) != mutants(70, seed=4)
    assert {mutant.mutation for mutant in mutants(66, seed=0)} == set(MUTATIONS)


@pytest.mark.parametrize("kind", ["apng", "gif", "mov", "mp4", "webm", "webp"])
def test_the_good_file_of_each_kind_is_read_in_full(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(good_files()[kind])
    frames, _ = read_video(str(path))
    assert frames.shape == (NUM_FRAMES, SIDE, SIDE, 4)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_changes_its_file(name: str) -> None:
    for number, (kind, data) in enumerate(good_files().items()):
        mutated = [MUTATIONS[name](data, kind, np.random.default_rng([number, seed])) for seed in range(3)]
        assert any(mutant != data for mutant in mutated), kind
        if name == "cut off":
            assert all(data.startswith(mutant) for mutant in mutated)


def test_a_lie_stands_in_the_header_and_its_checksum_is_right(tmp_path: Path) -> None:
    data = lie("count", 7)(good_files()["apng"], "apng", np.random.default_rng(0))
    at = data.index(b"acTL")
    assert int.from_bytes(data[at + 4 : at + 8], "big") == 7
    assert data[at + 12 : at + 16] != good_files()["apng"][at + 12 : at + 16], "the checksum goes with it"
