"""The toy world's truth through an autoencoder: true clips have error 0, stills 1, whatever decoding loses."""

import numpy as np
import pytest

from recipes.toy.projects import FOUNDATIONS
from stickers.data.encoding import canonical
from stickers.models.autoencoder import RGBAAutoencoder
from stickers.models.folders import load_autoencoder
from stickers.toy.measure import ToyOracle, ToyReader, ToyTruth
from stickers.toy.motions import MOTIONS
from stickers.toy.oracle import draw_sticker, truths

PROMPT, SIZE, NUM_FRAMES = "a cat waving", 16, 4


@pytest.fixture(scope="module")
def autoencoder() -> RGBAAutoencoder:
    return load_autoencoder(FOUNDATIONS / "tiny")


@pytest.fixture(scope="module")
def reader(autoencoder: RGBAAutoencoder) -> ToyReader:
    return ToyTruth().reader(autoencoder, PROMPT, 0, size=SIZE, num_frames=NUM_FRAMES)


def true_clip(oracle: ToyOracle, index: int) -> np.ndarray:
    clips = truths(PROMPT, 0, size=SIZE, num_frames=NUM_FRAMES, still_at=oracle.still_at, grid="fine")
    return canonical(clips[index], SIZE)


def test_a_true_clip_is_zero_the_still_is_one_and_the_rest_is_told_apart(reader: ToyReader) -> None:
    oracle = reader.oracle
    still = np.repeat(oracle.still(PROMPT, 0)[None], NUM_FRAMES, axis=0)
    truth, frozen = oracle.reconstruct(np.stack([true_clip(oracle, 40), still]))
    reading = reader.read(truth)
    assert reading.error == pytest.approx(0, abs=1e-3)
    reading = reader.read(frozen)
    assert reading.error == pytest.approx(1, abs=1e-3) and reading.nearest == "still" and not reading.right
    assert reading.scale > 0


def test_references_say_what_readings_mean(reader: ToyReader) -> None:
    clips = reader.references(seed=0)
    assert list(clips) == ["truth", "truth, frames shuffled", "wrong motion"]
    assert all(np.array_equal(clip, reader.references(seed=0)[name]) for name, clip in clips.items())
    readings = {name: reader.read(clip) for name, clip in clips.items()}
    assert readings["truth"].error < 0.5 and readings["truth"].error < readings["wrong motion"].error
    assert readings["wrong motion"].nearest in {*MOTIONS, "still"} - {"wave"}


def test_the_coarse_grid_measures_on_the_same_scale(autoencoder: RGBAAutoencoder) -> None:
    oracle = ToyOracle(autoencoder, SIZE, NUM_FRAMES)
    clips = truths(PROMPT, 1, size=SIZE, num_frames=NUM_FRAMES, still_at=oracle.still_at)
    still = np.repeat(oracle.still(PROMPT, 1)[None], NUM_FRAMES, axis=0)
    decoded = oracle.reconstruct(np.stack([canonical(clips[7], SIZE), still]))
    assert ToyTruth().errors(autoencoder, PROMPT, 1, list(decoded)) == pytest.approx([0, 1], abs=1e-3)


def test_reconstructions_do_not_depend_on_the_batch(autoencoder: RGBAAutoencoder) -> None:
    clips = np.random.default_rng(0).integers(0, 256, (35, 2, SIZE, SIZE, 4)).astype(np.uint8)
    oracle = ToyOracle(autoencoder, SIZE, 2)
    together, alone = oracle.reconstruct(clips), oracle.reconstruct(clips[33:])
    assert together.shape == clips.shape and together.dtype == np.uint8
    assert np.abs(together[33:].astype(int) - alone).max() <= 1, "batches of other sizes round otherwise"


@pytest.mark.parametrize(("kind", "index"), [("first", 0), ("middle", 3), ("last", 7)])
def test_the_picture_stands_at_the_conditioning_frame(
    autoencoder: RGBAAutoencoder, kind: str, index: int
) -> None:
    oracle = ToyOracle(autoencoder, SIZE, 8, kind)  # type: ignore[arg-type]
    assert oracle.still_at == index
    assert np.array_equal(oracle.still(PROMPT, 0), canonical(draw_sticker(PROMPT, 0, SIZE)[None], SIZE)[0])


def test_what_a_toy_prompt_asks_for() -> None:
    assert [ToyTruth().group(text) for text in ("a fox waving", "a fox")] == ["wave", "any of several"]
    with pytest.raises(ValueError, match="names none of the toy subjects"):
        ToyTruth().group("a teapot waving")


def test_phrases_of_one_pair_are_one_cluster() -> None:
    clusters = {
        text: ToyTruth().cluster(text)
        for text in ("a fox waving", "a fox waving hello", "a cat waving", "a fox")
    }
    assert clusters["a fox waving"] == clusters["a fox waving hello"] and len(set(clusters.values())) == 3


def test_the_truth_says_that_it_is_simulated() -> None:
    truth = ToyTruth(able_error=0.6)
    assert truth.simulated and truth.able_error == 0.6 and "toy world" in truth.name
