"""A team's own tables of prompts and pictures: a bad row must never stop the good ones."""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stickers.pipeline import check_prompt
from stickers.prompts.sticker_tables import import_stickers
from stickers.toy.oracle import draw_sticker
from stickers.video.codec import decode_picture


@pytest.mark.parametrize(("text", "says"), [("  \n", "empty"), ("x" * 10_000, "10000 characters")])
def test_bad_prompts_are_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_prompt(text)


def write_table(folder: Path, rows: list[dict[str, str]], kind: str) -> str:
    path = folder / f"table.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return str(path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_is_imported_and_bad_rows_are_counted(tmp_path: Path, kind: str) -> None:
    Image.fromarray(draw_sticker("a fox waving", 0, 48)).save(tmp_path / "fox.png")
    (tmp_path / "text.png").write_text("no picture")
    rows = [
        {"prompt": "a fox waving", "picture": "fox.png"},
        {"prompt": "", "picture": "fox.png"},
        {"prompt": "x" * 10_000, "picture": "fox.png"},
        {"prompt": "a cat", "picture": "absent.png"},
        {"prompt": "a cat", "picture": "text.png"},
        {"prompt": "our mascot dances", "picture": str(tmp_path / "fox.png")},
    ]
    found = import_stickers(write_table(tmp_path, rows, kind))
    assert [p.text for p in found.prompts] == ["a fox waving", "our mascot dances"]
    assert decode_picture(found.stickers[0].png).shape == (48, 48, 4), "a sticker keeps its own resolution"
    reasons = [row.reason for row in found.refused]
    wanted = ("prompt is empty", "10000 characters", "absent.png", "text.png")
    assert len(reasons) == 4 and all(want in reason for want, reason in zip(wanted, reasons, strict=True))
    assert "row 2" in found.refused[0].uri


def test_a_useless_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no table"):
        import_stickers(str(tmp_path / "absent.csv"))
    with pytest.raises(ValueError, match="lacks the column 'picture'"):
        import_stickers(write_table(tmp_path, [{"prompt": "a fox"}], "csv"))
    with pytest.raises(ValueError, match="no usable row"):
        import_stickers(write_table(tmp_path, [{"prompt": "a fox", "picture": "absent.png"}], "csv"))
