"""Which rows of a table a person means: comparisons over its columns, joined by `and`, `or` and `not`.

    teacher == 'motion' and (flickering or motion_score < 1.5)
    status == 'failed' or bucket in ['action', 'emotion'] and clip_digest != null

What a person types is never evaluated. It is read as Python's syntax tree, of which a few kinds of nodes are taken, so
it can call nothing and reach nothing but columns.

A comparison with an empty value is false, but `== null` is true; `!=` and `not in` negate `==` and `in`. So each row
answers either to a filter or to its negation.
"""

import ast
import operator
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import reduce
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from stickers.errors import UserError

ACCEPTED = (
    "comparisons of a column with a value (==, !=, <, <=, >, >=, in [...]; values are 'text', numbers, true, false and "
    "null) and columns of true and false, joined by and, or, not and parentheses"
)
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], pc.Expression]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_JOIN: dict[type[ast.boolop], Callable[[Any, Any], pc.Expression]] = {
    ast.And: operator.and_,
    ast.Or: operator.or_,
}
#: Arrow walks an expression by recursion, and crashes where it is too deep
_MOST_JOINED = 1000
#: characters of a text that a sentence repeats
_SHOWN = 200
_CONSTANTS = {"true": True, "false": False, "null": None}


def matching(table: pa.Table, text: str) -> pa.Table:
    """The rows of a table that a filter is true of.

    Raises:
        UserError: it is no filter over these columns; the sentence says where, and what is accepted.
    """
    return table.filter(parse_filter(text, table.schema))


def parse_filter(text: str, schema: pa.Schema) -> pc.Expression:
    """A filter as an expression of Arrow's that is true or false of every row. UserError as `matching`."""
    return _Filter(text, schema).expression()


class _Filter:
    """One text, and the columns that it may name."""

    def __init__(self, text: str, schema: pa.Schema) -> None:
        self.text, self.schema = text.strip().replace("\n", " ").replace("\r", " "), schema

    def expression(self) -> pc.Expression:
        try:
            with warnings.catch_warnings(action="ignore"):  # of odd backslashes
                return self._expression(ast.parse(self.text, mode="eval").body)
        except SyntaxError as error:
            end = len(self.text) + 1
            at = min(1 if error.offset is None else error.offset or end, end)  # 0 is how Python names the end
            self._refuse(at, self.text[at - 1 :], "cannot be read")
        except (RecursionError, MemoryError):
            self._refuse(1, self.text, "is nested too deeply")
        except UnicodeEncodeError:
            self._refuse(1, self.text, "is no text in UTF-8")

    def _expression(self, node: ast.expr) -> pc.Expression:
        match node:
            case ast.BoolOp(op=join, values=values):
                if len(values) > _MOST_JOINED:
                    self._refuse_node(
                        node, f"joins more than {_MOST_JOINED} comparisons; in [...] may hold more"
                    )
                return reduce(_JOIN[type(join)], [self._expression(value) for value in values])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self._expression(operand)
            case ast.Compare(left=ast.Name() as name, ops=[comparison], comparators=[right]):
                return self._comparison(self._column(name), comparison, right)
            case ast.Name():
                column = self._column(node)
                if not types.is_boolean(column.type):
                    self._refuse_node(node, f"is a column of {column.type}, so it must be compared")
                return _filled(pc.field(column.name))
        self._refuse_node(node, "is no comparison that is accepted")

    def _column(self, name: ast.Name) -> pa.Field:
        if name.id not in self.schema.names:
            self._refuse_node(name, "is no column")
        return self.schema.field(name.id)

    def _comparison(self, column: pa.Field, comparison: ast.cmpop, right: ast.expr) -> pc.Expression:
        match comparison, right:
            case ((ast.In() | ast.NotIn()), (ast.List(elts=items) | ast.Tuple(elts=items))):
                within = self._within(column, [self._value(column, item) for item in items])
                return within if isinstance(comparison, ast.In) else ~within
            case ast.Eq(), _:
                return self._equal(column, right)
            case ast.NotEq(), _:
                return ~self._equal(column, right)
            case ((ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE()), _):
                value = self._value(column, right)
                if not value.is_valid or types.is_boolean(value.type):
                    self._refuse_node(right, "has no order; == and != compare it")
                return _filled(_ORDER[type(comparison)](pc.field(column.name), value))
        self._refuse_node(right, "is not compared so")

    def _equal(self, column: pa.Field, right: ast.expr) -> pc.Expression:
        value = self._value(column, right)
        if not value.is_valid:
            return pc.field(column.name).is_null()
        return _filled(pc.field(column.name) == value)

    def _within(self, column: pa.Field, values: list[pa.Scalar]) -> pc.Expression:
        members = [value.as_py() for value in values if value.is_valid]
        within = _filled(pc.field(column.name).isin(pa.array(members, column.type)))
        return within if len(members) == len(values) else within | pc.field(column.name).is_null()

    def _value(self, column: pa.Field, node: ast.expr) -> pa.Scalar:
        """A literal of the column's own type; Arrow would compare others by way of narrow floats."""
        match node:
            case ast.Name(id=name) if name in _CONSTANTS:
                value: Any = _CONSTANTS[name]
            case ast.Constant(value=value):
                pass
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                value = -number
            case _:
                self._refuse_node(node, "is no value")
        if value is None or type(value) in _values_of(column.type):
            with suppress(pa.ArrowException, OverflowError, ValueError):  # beyond the type, or no text at all
                return pa.scalar(value, column.type)
        self._refuse_node(node, f"is not of the type of column {column.name}, {column.type}")

    def _refuse_node(self, node: ast.expr, reason: str) -> NoReturn:
        at = len(self.text.encode()[: node.col_offset].decode())
        self._refuse(at + 1, ast.get_source_segment(self.text, node) or "", reason)

    def _refuse(self, at: int, part: str, reason: str) -> NoReturn:
        """One sentence; `at` counts characters from 1."""
        begin = _short(part) if part else "the end"
        raise UserError(
            f"{begin} at character {at} of the filter {_short(self.text)} {reason}; accepted: {ACCEPTED}; "
            f"columns: {', '.join(self.schema.names)}"
        )


def _filled(comparison: pc.Expression) -> pc.Expression:
    """The same, but false where the column is empty."""
    return pc.coalesce(comparison, pc.scalar(False))


def _values_of(column: pa.DataType) -> tuple[type, ...]:
    """The Python classes that a column's values can be compared with."""
    if types.is_boolean(column):
        return (bool,)
    if types.is_integer(column):
        return (int,)  # Arrow would cut off what a float has behind the point
    if types.is_floating(column):
        return (int, float)
    return (str,) if types.is_string(column) or types.is_large_string(column) else ()


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
