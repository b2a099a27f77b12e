"""Which Arrow types are plain, at any depth."""

import pyarrow as pa
import pytest

from stickers.errors import UserError
from stickers.storage.plain_types import check_plain

TEXT = pa.string()
PLAIN: list[pa.DataType] = [
    *(pa.null(), pa.bool_(), pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.decimal128(5, 2)),
    *(TEXT, pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary(4)),
    *(pa.date32(), pa.time64("us"), pa.timestamp("ns", tz="UTC"), pa.duration("s")),
    *(pa.list_(TEXT), pa.large_list(TEXT), pa.list_(TEXT, 2), pa.dictionary(pa.int8(), TEXT)),
    *(pa.map_(TEXT, pa.list_(pa.struct([("a", TEXT)]))), pa.struct([])),
]
OTHER: dict[pa.DataType, str] = {
    pa.json_(): "arrow.json",
    pa.uuid(): "arrow.uuid",
    pa.fixed_shape_tensor(pa.float32(), [2]): "arrow.fixed_shape_tensor",
    pa.opaque(pa.binary(), "shape", "theirs"): "arrow.opaque",
    pa.month_day_nano_interval(): "month_day_nano_interval",
    pa.dense_union([pa.field("a", TEXT)]): "dense_union",
    pa.run_end_encoded(pa.int32(), TEXT): "run_end_encoded",
}


@pytest.mark.parametrize("kind", PLAIN, ids=str)
def test_plain_types_are_taken(kind: pa.DataType) -> None:
    check_plain("t", pa.schema([("a", kind), ("b", pa.list_(kind))]))


@pytest.mark.parametrize("kind", OTHER, ids=OTHER.values())
def test_every_other_type_is_refused_at_any_depth(kind: pa.DataType) -> None:
    within = [
        kind,
        pa.list_(kind),
        pa.large_list(kind),
        pa.list_(kind, 2),
        pa.list_view(kind),
        pa.struct([("a", TEXT), ("b", pa.list_(kind))]),
        pa.map_(TEXT, kind),
        pa.map_(kind, TEXT),
        pa.dictionary(pa.int8(), kind),
    ]
    for outer in within:
        with pytest.raises(UserError, match=rf"t\.parquet: column 'b' is of the type {OTHER[kind]}"):
            check_plain("t.parquet", pa.schema([("a", TEXT), ("b", outer)]))
