"""The page of prices: what a kept clip costs by teacher and bucket, in words where there is no number."""

from dataclasses import replace
from math import inf

import pytest

from stickers.candidates.prices import Cell
from stickers.evaluation.price_page import SpendingData, price, render_spending


def cell(teacher: str, bucket: str, seconds: float, kept: int, judged: int = 100) -> Cell:
    return Cell(teacher=teacher, bucket=bucket, made=100, failed=5, seconds=seconds, judged=judged, kept=kept)


CELLS = (
    cell("calm", "action", 100.0, 50),  # 2 s a kept clip
    cell("calm", "emotion", 100.0, 0),
    cell("wild", "action", 800.0, 50),  # 16 s
)
DATA = SpendingData(title="Prices of tiny", unit="CPU", cells=CELLS, simulated=False)


def test_cells_are_found_and_added_up() -> None:
    assert DATA.teachers == ["calm", "wild"] and DATA.buckets == ["action", "emotion"]
    assert DATA.at("calm", "emotion") is CELLS[1] and DATA.at("wild", "emotion") is None
    calm = DATA.of("calm")
    assert (calm.made, calm.seconds, calm.kept, calm.teacher) == (200, 200.0, 50, "calm")


def test_bars_are_shares_of_the_best_cell() -> None:
    assert [DATA.share(row) for row in CELLS] == pytest.approx([1.0, 0.0, 2 / 16])
    unjudged = replace(DATA, cells=[cell("new", "action", 10.0, 0, judged=0)])
    assert unjudged.share(unjudged.cells[0]) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "not judged"), (inf, "none kept"), (2.04, "2.0 s"), (99.9, "99.9 s"), (12345.6, "12,346 s")],
)
def test_prices_as_people_read_them(seconds: float | None, text: str) -> None:
    assert price(seconds) == text


def test_the_page_says_everything_escaped_and_fetches_nothing() -> None:
    cells = [*CELLS, cell("<i>new</i>", "action", 50.0, 0, judged=0)]
    page = render_spending(replace(DATA, cells=cells))
    for text in ("Prices of tiny", "2.0 s", "16.0 s", "none kept", "not judged", "&lt;i&gt;new"):
        assert text in page, text
    assert "<i>new" not in page and "http" not in page.replace("http-equiv", "")
    assert "simulated" not in page


def test_a_page_of_simulated_people_says_so_and_names_no_world() -> None:
    page = render_spending(replace(DATA, simulated=True))
    assert "simulated people did" in page and '<span class="chip">simulated</span>' in page
    assert "toy" not in page and "oracle" not in page


def test_an_empty_page_is_refused() -> None:
    with pytest.raises(ValueError, match="no candidate was made; there is nothing to show"):
        render_spending(replace(DATA, cells=[]))
