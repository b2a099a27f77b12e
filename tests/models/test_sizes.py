"""The paper's sizes, counted on the meta device."""

import pytest

from experiments.benchmarks.sizes import measure
from stickers.models.sizes import SIZES


@pytest.mark.parametrize("name", SIZES)
def test_weights_and_flops_are_the_papers(name: str) -> None:
    """Weights to the paper's two digits, FLOPs within 5 %."""
    row = measure(SIZES[name])
    assert f"{row.parameters / 1e9:.1f}" == f"{row.paper_parameters / 1e9:.1f}"
    assert row.spatial + row.temporal == row.parameters and 0.25 < row.temporal / row.parameters < 0.5
    if row.paper_flops_512p:
        assert abs(row.flops_512p / row.paper_flops_512p - 1) < 0.05
    assert row.flops_256p < row.flops_512p / 3.5
