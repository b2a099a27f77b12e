"""The paper's sizes, counted without allocating them."""

import json

import pytest

from experiments.benchmarks.sizes import Row, main, measure, table
from stickers.errors import UserError
from stickers.models.sizes import SIZES


@pytest.fixture(scope="module")
def smallest() -> Row:
    return measure(SIZES["sm"])


def test_a_size_counts_its_weights_and_operations(smallest: Row) -> None:
    assert smallest.spatial + smallest.temporal == smallest.parameters
    assert abs(smallest.parameters / smallest.paper_parameters - 1) < 0.1
    assert smallest.flops_512p > 3.9 * smallest.flops_256p > 0
    assert [column.header for column in table([smallest]).columns][:2] == ["size", "spatial B"]


@pytest.mark.parametrize("name", SIZES)
def test_weights_and_flops_are_the_papers(name: str) -> None:
    """Weights to the paper's two digits, FLOPs within 5 %."""
    row = measure(SIZES[name])
    assert f"{row.parameters / 1e9:.1f}" == f"{row.paper_parameters / 1e9:.1f}"
    assert row.spatial + row.temporal == row.parameters and 0.25 < row.temporal / row.parameters < 0.5
    if row.paper_flops_512p:
        assert abs(row.flops_512p / row.paper_flops_512p - 1) < 0.05
    assert row.flops_256p < row.flops_512p / 3.5


def test_sizes_print_what_they_count(smallest: Row, capsys: pytest.CaptureFixture[str]) -> None:
    main(only="sm")
    text = capsys.readouterr().out
    assert "1.21" in text and f"{smallest.parameters / 1e9:.2f}" in text and "lg" not in text
    main(as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [row["size"] for row in rows] == ["lg", "lg-e", "med", "sm"]
    assert rows[-1]["parameters"] == smallest.parameters
    assert rows[0]["parameters"] > rows[-1]["parameters"]


def test_what_training_takes_is_told_of_each_size(capsys: pytest.CaptureFixture[str]) -> None:
    main(only="sm", training=True)
    assert capsys.readouterr().out.startswith("sm: ")
    with pytest.raises(UserError, match="there is no size 'xl'; sizes: lg"):
        main(only="xl")
