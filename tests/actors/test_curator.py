"""The models of curation as actors: a file that cannot be read is a row with a reason."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from actors.curator import REASON, REQUESTS, VideoCaptioner, VideoEmbedder
from stickers.curation.captions import phrases
from stickers.curation.parts import KEY
from stickers.toy.video_files import write_clip
from tests.support.folders import save_blip, save_clip, save_entity


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """Two videos, and a file that is none between them."""
    folder = tmp_path_factory.mktemp("videos")
    clips = [write_clip(str(folder), "artist", index, 0) for index in range(2)]
    (folder / "none.mp4").write_text("no video")
    files = [clips[0]["file"], "none.mp4", clips[1]["file"]]
    rows = [
        {KEY: f"c{i}", "file": str(folder / file), "caption": "the cat Hello Kitty jumping"}
        for i, file in enumerate(files)
    ]
    return pa.Table.from_pylist(rows, schema=REQUESTS)


def test_the_embedder_gives_a_vector_for_each_video(requests: pa.Table, tmp_path: Path) -> None:
    embedded = VideoEmbedder(str(save_clip(tmp_path)), 2)(requests)
    assert embedded.select(REQUESTS.names).equals(requests)
    first, unread, second = embedded.to_pylist()
    assert unread["vector"] is None and unread[REASON]
    for row in (first, second):
        assert row[REASON] == "" and np.linalg.norm(row["vector"]) == pytest.approx(1, abs=1e-4)
    assert first["vector"] != second["vector"]


def test_the_captioner_gives_words_for_each_video(requests: pa.Table, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("blip", "entities")]
    for folder in folders:
        folder.mkdir()
    save_blip(folders[0])
    save_entity(folders[1])
    for entities in (None, str(folders[1])):
        described = VideoCaptioner(str(folders[0]), entities, num_frames=2, num_beams=1)(requests)
        assert described.select(REQUESTS.names).equals(requests)
        first, unread, second = described.to_pylist()
        assert unread["frames"] is None and unread[REASON]
        assert all(row[REASON] == "" and row["frames"] for row in (first, second))
        expected = ["Hello Kitty"] if entities else phrases([requests["caption"][0].as_py()])[0]
        assert first["entities"] == second["entities"] == expected
