"""Filters over a table: against Python's own evaluation of the same words, and what is refused."""

from itertools import product

import pyarrow as pa
import pytest

from stickers.candidates.archive import INDEXED
from stickers.candidates.filter import matching, parse_filter
from stickers.errors import UserError

ROWS = [
    {"name": name, "dark": dark, "size": size, "count": count}
    for name, dark, size, count in product(
        ("motion", "é's"), (True, False), (0.5, 1.5, float("nan")), (-1, 2**62 + 1)
    )
]
EMPTY = {"name": None, "dark": None, "size": None, "count": None}
SCHEMA = pa.schema(
    [("name", pa.string()), ("dark", pa.bool_()), ("size", pa.float64()), ("count", pa.int64())]
)
COMPARISONS = [
    *("name == 'motion'", "name != 'motion'", 'name == "é\'s"', "name < 'n'", "name in ['motion', 'x']"),
    *("dark", "dark == true", "dark != false", "dark in [True]"),
    *("size < 1", "size >= 1.5", "size == 0.5", "size not in (0.5, 1.5)", "size > -1e3"),
    *("count == -1", "count != 4611686018427387905", "count <= 4611686018427387904", "count not in []"),
]


def rows_that(text: str) -> list[int]:
    """Which rows Python itself finds, in a text whose meaning it shares."""
    names = {"true": True, "false": False}
    return [number for number, row in enumerate(ROWS) if eval(text, {**names, **row})]


def chosen(text: str, rows: list[dict[str, object]]) -> list[int]:
    table = pa.Table.from_pylist(rows, schema=SCHEMA).append_column("row", pa.array(range(len(rows))))
    return matching(table, text)["row"].to_pylist()


@pytest.mark.parametrize("text", COMPARISONS)
def test_a_comparison_means_what_it_means_in_python(text: str) -> None:
    assert chosen(text, ROWS) == rows_that(text) != []
    assert chosen(f"not ({text})", ROWS) == rows_that(f"not ({text})")


@pytest.mark.parametrize(
    "shape", ["{} and {} or {}", "{} or {} and {}", "not {} and ({} or {})", "not ({} or not {}) and {}"]
)
def test_they_are_joined_as_in_python(shape: str) -> None:
    for first, second, third in zip(COMPARISONS, COMPARISONS[5:], COMPARISONS[9:], strict=False):
        text = shape.format(first, second, third)
        assert chosen(text, ROWS) == rows_that(text), text


@pytest.mark.parametrize("text", [text for text in COMPARISONS if "!=" not in text and "not" not in text])
def test_an_empty_value_makes_a_comparison_false_and_its_negation_true(text: str) -> None:
    assert chosen(text, [EMPTY]) == [] and chosen(f"not ({text})", [EMPTY]) == [0]


def test_empty_values_are_asked_for_by_null() -> None:
    for name in SCHEMA.names:
        assert chosen(f"{name} == null", [EMPTY, ROWS[0]]) == [0]
        assert chosen(f"{name} != null", [EMPTY, ROWS[0]]) == [1]
        assert chosen(f"{name} in [null]", [EMPTY, ROWS[0]]) == [0]
    assert chosen("name in ['motion', null]", [EMPTY, *ROWS[:1], *ROWS[-1:]]) == [0, 1]


def test_a_list_may_be_long() -> None:
    assert len(chosen(f"count in {[-1, *range(100_000)]}", ROWS)) == len(ROWS) // 2


def test_the_filters_of_the_manual_fit_the_index_of_candidates() -> None:
    for text in ("teacher == 'motion' and flickering", "status == 'failed'"):
        parse_filter(text, INDEXED)


@pytest.mark.parametrize(
    ("text", "at", "reason"),
    [
        ("@x", 1, "cannot be read"),
        ("name == @x", 9, "cannot be read"),
        ("name = 'x'", 6, "cannot be read"),
        ("", 1, "cannot be read"),
        ("dark and", 9, "the end .* cannot be read"),
        ("count == 1\ndark", 12, "cannot be read"),
        ("\0", 1, "cannot be read"),
        ("dark and index.to_csv('x')", 10, "is no comparison"),
        ("__import__('os').mkdir('x')", 1, "is no comparison"),
        ("name.str.len() > 1", 1, "is no comparison"),
        ("size[0] < 1", 1, "is no comparison"),
        ("0 < size < 1", 1, "is no comparison"),
        ("[x for x in name]", 1, "is no comparison"),
        ("(x := dark)", 2, "is no comparison"),
        ("-dark", 1, "is no comparison"),
        ("lambda: dark", 1, "is no comparison"),
        ("dark if dark else dark", 1, "is no comparison"),
        ("1 < size and dark", 1, "is no comparison"),
        ("name == 'é' or  height < 1", 17, "'height' .* is no column"),
        ("name", 1, "is a column of string, so it must be compared"),
        ("name == dark", 9, "'dark' .* is no value"),
        ("name == f'{dark}'", 9, "is no value"),
        ("name == 'a' & dark", 9, "is no value"),
        ("name == ('a').upper()", 9, "is no value"),
        ("count == 2 ** 9", 10, "is no value"),
        ("name == b'a'", 9, "is not of the type of column name, string"),
        ("name == 3", 9, "is not of the type of column name, string"),
        ("size == 'a'", 9, "is not of the type of column size, double"),
        ("dark == 1", 9, "is not of the type of column dark, bool"),
        ("count > 1.5", 9, "is not of the type of column count, int64"),
        ("count == true", 10, "is not of the type"),
        ("count == 9223372036854775808", 10, "is not of the type"),
        ("count == 1j", 10, "is not of the type"),
        ("dark < true", 8, "has no order"),
        ("size > null", 8, "has no order"),
        ("name in 'motion'", 9, "is not compared so"),
        ("name is null", 9, "is not compared so"),
        ("(" * 300 + "dark" + ")" * 300, 201, "cannot be read"),
        ("not " * 5000 + "dark", 1, "is nested too deeply"),
        (" or ".join(["dark"] * 1001), 1, "joins more than 1000"),
        ("name == '\ud800'", 1, "is no text"),
    ],
)  # fmt: skip
def test_everything_else_is_refused_where_it_stands(text: str, at: int, reason: str) -> None:
    with pytest.raises(UserError, match=rf"at character {at} of the filter .* {reason}|{reason}") as error:
        parse_filter(text, SCHEMA)
    sentence = str(error.value)
    assert f"at character {at} of" in sentence and sentence.endswith("columns: name, dark, size, count")
    assert "accepted: comparisons of a column with a value" in sentence and "\n" not in sentence
