"""What a model said of videos, kept as it comes: the memory that lets a stopped run go on and a larger one begin ahead.

A store is a folder of small Parquet files. Each is named by the keys in it and written whole or not at all, so a run
may be stopped at any instant, and two runs at once repeat work but spoil nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stickers import storage
from stickers.artifacts.ids import content_id

KEY = "key"


@dataclass(frozen=True)
class Parts:
    """The rows below `uri`; `schema` has a text column `key` and what is known of each."""

    uri: str
    schema: pa.Schema

    def keys(self) -> set[str]:
        """Everything that is known already."""
        return set(self._read([KEY])[KEY].to_pylist())

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep rows; none are nothing to keep."""
        if rows:
            name = content_id(*sorted(row[KEY] for row in rows))
            table = pa.Table.from_pylist([dict(row) for row in rows], schema=self.schema)
            storage.write_table(storage.join(self.uri, f"{name}.parquet"), table, self.schema)

    def read(self, keys: Collection[str]) -> dict[str, dict[str, Any]]:
        """The rows of these keys, as far as they are known, by key."""
        return {row[KEY]: row for row in self.table(keys).to_pylist()}

    def table(self, keys: Collection[str]) -> pa.Table:
        """The rows of these keys in any order; one that two runs added stands there twice."""
        rows = self._read(None)
        return rows.filter(pc.is_in(rows[KEY], pa.array(sorted(keys), pa.string())))

    def _read(self, columns: list[str] | None) -> pa.Table:
        if not storage.exists(self.uri) or not storage.listing(self.uri):
            return self.schema.empty_table()
        return storage.read_table(self.uri, self.schema, columns=columns)
