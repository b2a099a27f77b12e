"""Files that run code when they are read carelessly. Each would make a folder, which the test then looks for."""

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

#: what Ray Data unpickles once it is imported
PICKLED = "ray.data.arrow_pickled_object"


class MakesFolder:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def pickled_table(
    path: Path, columns: Mapping[str, Any], marker: Path, *, name: str = "extra", nested: bool = False
) -> Path:
    """Write a Parquet table of one row whose column `name` is pickled; with `nested`, in a struct in a list."""
    data = pa.array([pickle.dumps(MakesFolder(marker))], pa.large_binary())
    field = pa.field(
        name, data.type, metadata={"ARROW:extension:name": PICKLED, "ARROW:extension:metadata": ""}
    )
    if nested:
        inner = field.with_name("inner")
        data = pa.ListArray.from_arrays([0, 1], pa.StructArray.from_arrays([data], fields=[inner]))
        field = pa.field(name, pa.list_(pa.field("item", pa.struct([inner]))))
    plain = pa.table({column: [value] for column, value in columns.items() if column != name})
    schema = pa.schema([*plain.schema, field])
    pq.write_table(pa.table([*plain.columns, data.cast(field.type)], schema=schema), path)
    return path


def with_own_code(folder: Path, file: str, marker: Path, **entries: Any) -> Path:
    """Let a JSON file of a model's folder name a module beside it."""
    (folder / "own.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    path = folder / file
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | entries))
    return folder
