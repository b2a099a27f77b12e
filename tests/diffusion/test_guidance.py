"""Equations 1-3 with only the passes that they require."""

import pytest
import torch

from stickers.diffusion.guidance import combine, needed_passes


@pytest.mark.parametrize("scales", [(7.5, 2.0), (1.0, 2.0), (3.0, 3.0), (3.0, 1.0), (1.0, 1.0), (0.0, 1.5)])
def test_combine_is_the_papers_formula_with_only_the_needed_passes(scales: tuple[float, float]) -> None:
    image_scale, text_scale = scales
    dice = torch.Generator().manual_seed(0)
    none, image, full = torch.randn(3, 2, 3, generator=dice, dtype=torch.float64)
    outputs = {"none": none, "image": image, "full": full}
    formula = none + image_scale * (image - none) + text_scale * (full - image)
    passes = needed_passes(*scales)
    assert torch.allclose(combine({name: outputs[name] for name in passes}, *scales), formula)


def test_redundant_passes_are_not_run() -> None:
    assert needed_passes(7.5, 2.0) == ("none", "image", "full")
    assert needed_passes(1.0, 2.0) == ("image", "full")
    assert needed_passes(1.0, 1.0) == ("full",)
    assert needed_passes(3.0, 3.0) == ("none", "full")
