"""The form in which a project hands its truth in: the shipped one has it, and so may a stranger's."""

import inspect
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from stickers.evaluation.quality import ClipMeasures, by_truth
from stickers.evaluation.truth import Truth, TruthReader, TruthReading
from stickers.toy.measure import ToyReader, ToyTruth


def methods_of(kind: type) -> dict[str, list[tuple[str, Any]]]:
    """The public methods of a class with the names and kinds of their arguments."""
    return {
        name: [(argument.name, argument.kind) for argument in inspect.signature(method).parameters.values()]
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize(("form", "shipped"), [(Truth, ToyTruth), (TruthReader, ToyReader)])
def test_the_toy_worlds_truth_has_the_form(form: type, shipped: type) -> None:
    expected = methods_of(form)
    assert expected and {name: methods_of(shipped).get(name) for name in expected} == expected
    for name, value in inspect.getmembers(form, lambda member: isinstance(member, property)):
        assert hasattr(ToyTruth(), name), (name, value)


def test_a_reading_is_named_throughout_and_stays_as_it_was_read() -> None:
    reading = TruthReading(error=0.5, scale=2.0, right=True, nearest="wave")
    with pytest.raises(FrozenInstanceError):
        reading.error = 0.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        TruthReading(0.5, 2.0, True, "wave")  # type: ignore[misc]


class BrightnessReader:
    """How far a clip is from white."""

    def read(self, clip_THWC: np.ndarray) -> TruthReading:
        error = 1 - float(clip_THWC[..., :3].mean()) / 255
        return TruthReading(
            error=error, scale=1.0, right=error < 0.5, nearest="white" if error < 0.5 else "black"
        )

    def references(self, seed: int) -> dict[str, np.ndarray]:
        return {"truth": np.full((2, 4, 4, 4), 255, np.uint8)}


class Brightness:
    """A stranger's truth: a right clip is white, and a black one is no better than a still."""

    name, simulated, able_error = "brightness", False, 0.25

    def reader(
        self, autoencoder: Any, prompt: str, image_index: int, *, size: int, num_frames: int
    ) -> BrightnessReader:
        return BrightnessReader()

    def errors(self, autoencoder: Any, prompt: str, image_index: int, clips: Any) -> list[float]:
        return [BrightnessReader().read(clip).error for clip in clips]

    def group(self, prompt: str) -> str:
        return "white"

    def cluster(self, prompt: str) -> str:
        return prompt


def test_what_rests_on_a_truth_asks_it_and_no_world() -> None:
    truth: Truth = Brightness()
    white, grey, black = (np.full((2, 4, 4, 4), level, np.uint8) for level in (255, 204, 0))
    quality = by_truth(truth)
    assert quality.able == 0.75 and not quality.simulated
    scores = [
        quality.score(
            ClipMeasures(candidate_id="x", clip_digest="y", motion_size=0, consistency=1, truth_error=error)
        )
        for error in truth.errors(None, "our mascot", 0, [white, grey, black])  # type: ignore[arg-type]
    ]
    assert scores == pytest.approx([1.0, 0.8, 0.0])
