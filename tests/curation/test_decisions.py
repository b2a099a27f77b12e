"""Decisions split a table, or are refused before anything is written."""

from pathlib import Path

import pytest

from stickers.curation.decisions import Decision, part, read_decisions
from stickers.curation.video_tables import VideoTable, read_videos

HEADER = "file,decision,reason,reviewer,time\n"


@pytest.fixture
def table(tmp_path: Path) -> VideoTable:
    (tmp_path / "t.csv").write_text(
        "file,caption,likes\na.mp4,A,1\nsub/b.mp4,B,2\n/far/c.mp4,C,3\nd.mp4,D,4\n"
    )
    return read_videos(tmp_path / "t.csv")


def decided(file: str, decision: str, reason: str = "", reviewer: str = "ann") -> Decision:
    return Decision(file, decision, reason, reviewer, "2026-11-23T12:00:00Z")


def test_accepted_and_rejected_rows_keep_their_columns(table: VideoTable) -> None:
    decisions = [
        decided("a.mp4", "accept"),
        decided(table.files[1], "reject", "jitter"),
        decided("sub/b.mp4", "reject", "off style", "bob"),
        decided("/far/c.mp4", "reject", "jitter"),
    ]
    parted = part(table, decisions)
    assert parted.accepted.to_pylist() == [{"file": table.files[0], "caption": "A", "likes": "1"}]
    assert [(row["likes"], row["reason"], row["reviewer"]) for row in parted.rejected.to_pylist()] == [
        ("2", "jitter; off style", "ann; bob"),
        ("3", "jitter", "ann"),
    ]
    assert parted.unreviewed == 1 and parted.reasons == {"jitter": 2, "off style": 1}
    kept = part(table, decisions, keep_unreviewed=True)
    assert kept.accepted["likes"].to_pylist() == ["1", "4"] and kept.unreviewed == 1


def test_contradictions_and_unknown_files_are_refused(table: VideoTable) -> None:
    with pytest.raises(ValueError, match="a decision names e.mp4, which is not in the table"):
        part(table, [decided("e.mp4", "accept")])
    with pytest.raises(ValueError, match="a.mp4 is contradicted: ann .* says accept, bob .* says reject"):
        part(table, [decided("a.mp4", "accept"), decided("a.mp4", "reject", "broken", "bob")])


def test_several_downloads_are_read_together(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(HEADER + 'a.mp4,reject,"other: ""no"", really",ann,t\r\n')
    (tmp_path / "2.csv").write_text(HEADER + "b.mp4,accept,,bob,t\n", encoding="utf-8-sig")
    decisions = read_decisions([tmp_path / "1.csv", tmp_path / "2.csv"])
    assert [decision.file for decision in decisions] == ["a.mp4", "b.mp4"]
    assert decisions[0].reason == 'other: "no", really'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,decision,reason,reviewer\n", "d.csv lacks the column 'time'; it needs file, decision"),
        (HEADER + "a.mp4,maybe,,ann,t\n", "row 1 decides 'maybe'; accepted are accept and reject"),
        (HEADER + "a.mp4,reject, ,ann,t\n", "row 1 rejects a.mp4 without a reason"),
        (b"\xff\xfe", "d.csv is no CSV table in UTF-8"),
    ],
)
def test_files_without_valid_decisions_are_refused(text: str | bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=sentence):
        read_decisions([tmp_path / "d.csv"])
    with pytest.raises(ValueError, match="there are no decisions"):
        read_decisions([tmp_path / "absent.csv"])
