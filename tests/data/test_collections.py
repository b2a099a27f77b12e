"""Collections of all kinds are listed in the same way, and unusable ones are refused with a reason."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.prepare import file_listing, with_own_videos
from recipes.toy.projects import TINY
from stickers.data.collections import Listed, content_of, list_collection
from stickers.data.manifest import Examined, examine, row_of
from stickers.housekeeping.withdrawn import Withdrawn
from stickers.toy.video_files import write_broken_files, write_captions, write_clip

ROWS = [("a.mp4", "a cat waving"), ("b.mp4", "a fox, running")]


def listed(root: Path, source: str = "artist") -> list[Listed]:
    return list(list_collection(str(root), source))


def listing_of(videos: Path | None, sets: tuple[str, ...]) -> Iterator[Listed]:
    """What prepare.py lists of the command line's videos and sets."""
    project, absent = with_own_videos(TINY, videos, sets)
    yield from file_listing(project, absent, Withdrawn())()


def test_bad_files_are_refused_with_their_reason_and_good_ones_are_untouched(tmp_path: Path) -> None:
    rows = [write_clip(str(tmp_path), "keyword", 0, seed=0), *write_broken_files(str(tmp_path))]
    write_captions(str(tmp_path), rows)
    results = {row.path: examine(row_of(row, "x"), (32,)) for row in listed(tmp_path, "keyword")}
    reasons = {
        path: "" if isinstance(result, Examined) else result.reason for path, result in results.items()
    }
    by_name = {path.rpartition("-")[2]: reason for path, reason in reasons.items()}
    assert "empty (0 bytes)" in by_name["empty.mp4"]
    assert "truncated" in by_name["truncated.mp4"]
    assert "cannot be decoded" in by_name["text.mp4"]
    assert "5 frames, at least 8" in by_name["short.mp4"]
    assert "there is no such file" in by_name["absent.mp4"]
    assert all(path in reason for path, reason in reasons.items() if reason)
    good = results[str(tmp_path / rows[0]["file"])]
    assert isinstance(good, Examined) and good.clip.status == "ready" and good.clip.motion_score >= 0
    assert good.frames[32].shape == (good.clip.num_frames, 32, 32, 4)
    assert good.track.shape == (good.clip.num_frames, 3) and (good.track[:, 0].diff() > 0).all()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_tables_of_every_kind_are_read_alike(tmp_path: Path, kind: str) -> None:
    table = tmp_path / f"videos.{kind}"
    if kind == "csv":
        table.write_text('file,caption,note\na.mp4,a cat waving,1\nb.mp4,"a fox, running",2\n')
    elif kind == "jsonl":
        table.write_text("".join(json.dumps({"file": f, "caption": c}) + "\n" for f, c in ROWS))
    else:
        pq.write_table(pa.table({"file": [f for f, _ in ROWS], "caption": [c for _, c in ROWS]}), table)
    assert listed(table) == [Listed(str(tmp_path / file), caption, "artist") for file, caption in ROWS]


def test_members_of_tar_shards_are_videos_like_files(tmp_path: Path) -> None:
    row = write_clip(str(tmp_path), "keyword", 0, seed=0)
    video = (tmp_path / row["file"]).read_bytes()
    parts = {
        "0.mp4": video,
        "0.txt": b"a cat",
        "1.mp4": video,
        "1.json": b'{"caption": "a fox"}',
        "1.cls": b"7",
        "2.mp4": video[:500],
    }
    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, "w") as archive:
        for name, data in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    videos = listed(shard)
    assert [(row.path, row.caption) for row in videos] == [
        (f"{shard}::0.mp4", "a cat"),
        (f"{shard}::1.mp4", "a fox"),
        (f"{shard}::2.mp4", ""),
    ]
    assert content_of(videos[0].path) == content_of(str(tmp_path / row["file"])) == content_of(videos[1].path)
    first, second, cut = (examine(row_of(video, "x"), (32,)) for video in videos)
    plain = examine(row_of(Listed(str(tmp_path / row["file"]), "", "artist"), "x"), (32,))
    assert isinstance(first, Examined) and isinstance(second, Examined) and isinstance(plain, Examined)
    assert (first.frames[32] == plain.frames[32]).all() and (first.track == plain.track).all()
    assert not isinstance(cut, Examined) and f"{shard}::2.mp4" in cut.reason


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("captions.csv", "file\nx.mp4\n", "lacks the column 'caption'"),
        ("captions.csv", "path,caption\nx.mp4,a cat\n", "lacks the column 'file'"),
        ("v.jsonl", '{"file": "x.mp4"}\n', "line 1 lacks the column 'caption'"),
        ("v.jsonl", "[]\n", "line 1 is no JSON object; it needs file and caption"),
        ("v.jsonl", "no\n", "line 1 is no JSON"),
        ("v.parquet", "no", "is no readable Parquet table"),
        ("v.tar", "no", "is no uncompressed tar file"),
        ("v.txt", "no", "there is no collection"),
    ],
)
def test_invalid_collections_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        listed(tmp_path if name == "captions.csv" else tmp_path / name)


def test_an_absent_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no collection"):
        listed(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no videos"):
        listed(tmp_path)


def test_videos_missing_from_the_table_are_listed_without_caption(tmp_path: Path) -> None:
    row = write_clip(str(tmp_path), "artist", 0, seed=0)
    assert listed(tmp_path) == [Listed(str(tmp_path / row["file"]), "", "artist")]


def test_one_table_at_the_top_serves_the_sets_below_it(tmp_path: Path) -> None:
    for source in ("artist", "keyword"):
        (tmp_path / source).mkdir()
    names = {
        source: write_clip(str(tmp_path / source), source, 0, seed=0)["file"]
        for source in ("artist", "keyword")
    }
    text = "file,caption\n" + "".join(f"{source}/{name},a {source} clip\n" for source, name in names.items())
    (tmp_path / "captions.csv").write_text(text + "artist/short-row.mp4\n", encoding="utf-8-sig")
    assert [(row.source, row.caption) for row in listing_of(tmp_path, ())] == [
        ("artist", "a artist clip"),
        ("artist", ""),
        ("keyword", "a keyword clip"),
    ]
    (tmp_path / "captions.csv").write_bytes("file,caption\nx.mp4,fr\u00e4ulein\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"captions\.csv is no CSV table in UTF-8"):
        list(listing_of(tmp_path, ()))


def test_sets_are_given_by_name(tmp_path: Path) -> None:
    write_clip(str(tmp_path), "artist", 0, seed=0)
    assert {row.source for row in listing_of(None, (f"mine={tmp_path}", f"artist={tmp_path}"))} == {
        "mine",
        "artist",
    }
    with pytest.raises(ValueError, match="--sets takes NAME=PATH, got 'mine'"):
        list(listing_of(None, ("mine",)))
