"""A self-contained page on the cost of candidates and the share that people kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from stickers.candidates.prices import Cell, total
from stickers.errors import UserError
from stickers.evaluation.report import page_template

TEMPLATE = "price_page.html.j2"


@dataclass(frozen=True, kw_only=True)
class SpendingData:
    """The page's data. `unit` is the device of the seconds: GPU, CPU or both. `simulated`: no people judged."""

    title: str
    unit: str
    cells: Sequence[Cell]
    simulated: bool

    @property
    def teachers(self) -> list[str]:
        """The names of all teachers, sorted."""
        return sorted({cell.teacher for cell in self.cells})

    @property
    def buckets(self) -> list[str]:
        """The names of all buckets, sorted."""
        return sorted({cell.bucket for cell in self.cells})

    @property
    def overall(self) -> Cell:
        """All cells as one."""
        return total(self.cells)

    def at(self, teacher: str, bucket: str) -> Cell | None:
        """The cell of a teacher and bucket, or None if it has no candidates."""
        return next((cell for cell in self.cells if cell.name == (teacher, bucket)), None)

    def of(self, teacher: str) -> Cell:
        """All buckets of a teacher as one cell."""
        return total([cell for cell in self.cells if cell.teacher == teacher], teacher)

    def share(self, cell: Cell) -> float:
        """The cell's kept clips per second relative to the best cell's, 0 to 1."""
        most = max(_rate(other) for other in self.cells)
        return _rate(cell) / most if most else 0.0


def _rate(cell: Cell) -> float:
    """Kept clips per second; 0 if none was kept."""
    cost = cell.seconds_per_kept
    return 1 / cost if cost else 0.0


def price(seconds: float | None) -> str:
    """Seconds per kept clip, as text."""
    if seconds is None:
        return "not judged"
    if not isfinite(seconds):
        return "none kept"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:,.0f} s"


def render_spending(data: SpendingData) -> str:
    """The page as HTML. UserError: there are no cells."""
    if not data.cells:
        raise UserError("no candidate was made; there is nothing to show")
    return page_template(TEMPLATE).render(data=data, price=price)
