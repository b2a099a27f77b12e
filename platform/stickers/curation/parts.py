"""A model's results for videos, stored as they come, so that a stopped run continues and a larger one reuses them.

A store is a folder of small Parquet files. Each is named by its keys and written completely or not at all, so a run may
be stopped at any instant, and two runs at once repeat work but damage nothing.
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
    """The rows below `uri`; `schema` has a text column `key` and the results."""

    uri: str
    schema: pa.Schema

    def keys(self) -> set[str]:
        """The keys of all stored rows."""
        return set(self._read([KEY])[KEY].to_pylist())

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store rows; an empty list stores nothing."""
        if rows:
            name = content_id(*sorted(row[KEY] for row in rows))
            table = pa.Table.from_pylist([dict(row) for row in rows], schema=self.schema)
            storage.write_table(storage.join(self.uri, f"{name}.parquet"), table, self.schema)

    def read(self, keys: Collection[str]) -> dict[str, dict[str, Any]]:
        """The stored rows of these keys, by key."""
        return {row[KEY]: row for row in self.table(keys).to_pylist()}

    def table(self, keys: Collection[str]) -> pa.Table:
        """The rows of these keys in any order; a row that two runs added occurs twice."""
        rows = self._read(None)
        return rows.filter(pc.is_in(rows[KEY], pa.array(sorted(keys), pa.string())))

    def _read(self, columns: list[str] | None) -> pa.Table:
        if not storage.exists(self.uri) or not storage.listing(self.uri):
            return self.schema.empty_table()
        return storage.read_table(self.uri, self.schema, columns=columns)
