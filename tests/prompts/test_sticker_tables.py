"""A prompt kept for evaluation must never reach a plan, and a user's bad row must never stop the good ones."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stickers.pipeline import check_prompt
from stickers.prompts.sticker_tables import import_stickers
from stickers.toy.grammar import held_out_prompts, toy_prompts, toy_stickers
from stickers.toy.oracle import draw_sticker
from stickers.toy.words import held_out, meaning
from stickers.video.clips import on_white
from stickers.video.codec import decode_picture


def test_toy_prompts_are_distinct_balanced_and_never_held_out() -> None:
    prompts = toy_prompts(90, seed=3)
    assert len({p.text for p in prompts}) == 90
    assert Counter(p.bucket for p in prompts) == {"action": 30, "emotion": 30, "open-ended": 30}
    for prompt in prompts:
        said = meaning(prompt.text)
        assert said.bucket == prompt.bucket
        assert not any(held_out(said.subject, motion) for motion in said.motions)
    assert any(len(meaning(p.text).motions) > 1 for p in prompts), "no single-subject prompt among them"
    motions = Counter(m for p in prompts if p.bucket == "action" for m in meaning(p.text).motions)
    assert max(motions.values()) - min(motions.values()) <= 1


def test_held_out_prompts_are_held_out() -> None:
    prompts = held_out_prompts(24, seed=0)
    assert len({p.text for p in prompts}) == 24
    assert all(held_out(meaning(p.text).subject, meaning(p.text).motions[0]) for p in prompts)
    assert not {p.text for p in prompts} & {p.text for p in toy_prompts(300, seed=0)}


def test_the_seed_decides() -> None:
    assert toy_prompts(24, seed=1) == toy_prompts(24, seed=1) != toy_prompts(24, seed=2)


def test_too_many_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="accepted: 1 to"):
        toy_prompts(10_000, seed=0)


@pytest.mark.parametrize(("text", "says"), [("  \n", "empty"), ("x" * 10_000, "10000 characters")])
def test_bad_prompts_are_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_prompt(text)


def test_toy_stickers_are_two_pictures_a_prompt() -> None:
    prompts = toy_prompts(3, seed=0)
    stickers = toy_stickers(prompts, 32)
    assert [s.image_index for s in stickers] == [0, 1] * 3
    assert len({s.sticker_id for s in stickers}) == 6
    drawn = draw_sticker(prompts[0].text, 1, 32)
    assert np.array_equal(decode_picture(stickers[1].png), on_white(drawn[None])[0])


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
