"""The encoder as an actor: what cannot be used is a row with its reason, and stops nothing."""

from pathlib import Path

import numpy as np

from actors.encoder import COLUMNS, ClipEncoder
from stickers.data.cache import ROWS
from stickers.toy.video_files import write_clip


def test_listed_videos_become_rows(tiny_foundations: Path, tmp_path: Path) -> None:
    clip = write_clip(str(tmp_path), "keyword", 0, seed=3)
    (tmp_path / "none.mp4").write_text("no video")
    listed = [
        ("good", str(tmp_path / clip["file"]), clip["caption"], "keyword"),
        ("bad", str(tmp_path / "none.mp4"), "a cat", "keyword"),
    ]
    batch = {name: np.array(column) for name, column in zip(COLUMNS, zip(*listed, strict=True), strict=True)}
    rows = ClipEncoder(str(tiny_foundations), str(tmp_path / "runs"), "a1", "t1", (32,))(batch)
    assert rows.schema == ROWS
    good, bad = rows.to_pylist()
    assert (good["clip_id"], good["status"], good["caption"]) == ("good", "ready", clip["caption"])
    assert (
        (bad["clip_id"], bad["source"]) == ("bad", "keyword") and bad["status"] != "ready" and bad["reason"]
    )
    assert any(path.is_file() for path in (tmp_path / "runs").rglob("*")), "the frames are in the cache"
