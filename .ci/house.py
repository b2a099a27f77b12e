"""Measures the house: one Markdown table of what a reader meets in the tree, each line beside its bar.

    .venv/bin/python .ci/house.py                              this checkout
    .venv/bin/python .ci/house.py --before DIR                 an older checkout beside this one
    .venv/bin/python .ci/house.py --list vague                 the places behind one line
    .venv/bin/python .ci/house.py --cover .house.json          runs the mirror tests under coverage, then prints
    .venv/bin/python .ci/house.py --coverage .house.json       prints with what --cover stored

One script measures both checkouts, so two columns differ by the code alone. `measures.py` defines what a line counts,
`mirrors.py` what a mirror test is.
"""

import argparse
import math
from pathlib import Path

from measures import Measure, measure_tree
from mirrors import measure_mirrors, run_mirrors

HERE = Path(__file__).resolve().parent.parent


def measure(root: Path, store: Path | None) -> list[Measure]:
    """Every line of the table for the checkout at `root`."""
    return [*measure_tree(root), measure_mirrors(root, store)]


def table(columns: dict[str, list[Measure]]) -> str:
    """The Markdown table of one or two measured checkouts, by the heading of their column."""
    lines = [f"| | bar | {' | '.join(columns)} |", "|---|---:|" + "---:|" * len(columns)]
    for row in zip(*columns.values(), strict=True):
        bar = f"{'≥' if row[0].at_least else '≤'} {row[0].bar:g}{row[0].unit}"
        figures = [
            "not measured" if math.isnan(cell.value) else f"{round(cell.value, 1):,g}{cell.unit}"
            for cell in row
        ]
        lines.append(f"| {row[0].title} | {bar} | {' | '.join(figures)} |")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, run what it asks for and print the table or the places behind one line of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=HERE, metavar="DIR", help="the checkout to measure")
    parser.add_argument(
        "--before", type=Path, metavar="DIR", help="an older checkout, for a column of its own"
    )
    parser.add_argument("--coverage", type=Path, metavar="FILE", help="what --cover stored for --root")
    parser.add_argument(
        "--before-coverage", type=Path, metavar="FILE", help="what --cover stored for --before"
    )
    parser.add_argument(
        "--cover", type=Path, metavar="FILE", help="run the mirror tests first, results to FILE"
    )
    parser.add_argument("--jobs", type=int, default=2, help="mirror tests at a time")
    parser.add_argument("--list", metavar="LINE", help="print the places behind one line, such as vague")
    options = parser.parse_args()
    root, store = options.root.resolve(), options.cover or options.coverage
    if options.cover:
        run_mirrors(root, options.cover, options.jobs)
    measures = measure(root, store)
    if options.list:
        by_key = {line.key: line for line in measures}
        if options.list not in by_key:
            parser.error(f"--list {options.list}: there is no such line; take one of {', '.join(by_key)}")
        print("\n".join(by_key[options.list].places))
        return
    columns = {"now": measures}
    if options.before:
        columns = {"before": measure(options.before.resolve(), options.before_coverage), "after": measures}
    print(table(columns))


if __name__ == "__main__":
    main()
