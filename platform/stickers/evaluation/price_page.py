"""What candidates cost and what was kept of them, on one page that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from stickers.candidates.prices import Cell, total
from stickers.errors import UserError
from stickers.evaluation.report import page_template

TEMPLATE = "price_page.html.j2"


@dataclass(frozen=True, kw_only=True)
class SpendingData:
    """`unit` is what the seconds are of: GPU, CPU, or both. `simulated` says that no people judged."""

    title: str
    unit: str
    cells: Sequence[Cell]
    simulated: bool

    @property
    def teachers(self) -> list[str]:
        return sorted({each.teacher for each in self.cells})

    @property
    def buckets(self) -> list[str]:
        return sorted({each.bucket for each in self.cells})

    @property
    def whole(self) -> Cell:
        return total(self.cells)

    def at(self, teacher: str, bucket: str) -> Cell | None:
        """The cell of that place, if anything was made there."""
        return next((each for each in self.cells if each.name == (teacher, bucket)), None)

    def of(self, teacher: str) -> Cell:
        """All buckets of a teacher."""
        return total([each for each in self.cells if each.teacher == teacher], teacher)

    def share(self, cell: Cell) -> float:
        """Its kept clips a second, of the best cell's: 0 to 1."""
        most = max(_rate(each) for each in self.cells)
        return _rate(cell) / most if most else 0.0


def _rate(cell: Cell) -> float:
    """Kept clips a second; 0 where none is known to be kept."""
    cost = cell.seconds_per_kept
    return 1 / cost if cost else 0.0


def price(seconds: float | None) -> str:
    """Seconds a kept clip as people read them."""
    if seconds is None:
        return "not judged"
    if not isfinite(seconds):
        return "none kept"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:,.0f} s"


def render_spending(data: SpendingData) -> str:
    """The whole page. UserError: there is nothing to show."""
    if not data.cells:
        raise UserError("no candidate was made; there is nothing to show")
    return page_template(TEMPLATE).render(data=data, price=price)
