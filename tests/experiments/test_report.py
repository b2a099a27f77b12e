"""The report's parts: every system in its place, clips of the first seed, figures that are there."""

from pathlib import Path

import numpy as np
import pytest

from actors.evaluator import ERROR, STILL
from experiments.report import counts, figure_rows, gap_rows, kind_of, metric_columns, picture, prompt_rows
from recipes.toy.projects import TINY
from stickers import storage
from stickers.errors import UserError
from stickers.evaluation.report import ComparedSystem
from stickers.video.codec import decode_picture, encode_strip

RECORD = {
    "truth": "the oracle",
    "figures": [
        {
            "system": name,
            "metric": metric,
            "value": value,
            "low": value - 0.1,
            "high": value + 0.1,
            "count": count,
        }
        for name, metric, value, count in (
            (STILL, ERROR, 1.0, 4),
            ("distilled", ERROR, 0.5, 4),
            ("distilled", "motion_size", 2.0, 6),
        )
    ],
    "differences": [
        {"system": "distilled", "baseline": STILL, "metric": metric, "value": -0.5, "low": -0.6, "high": -0.4}
        for metric in (ERROR, "unknown")
    ],
}


def row(system: str, item: str, seed: int, **values: float) -> dict[str, object]:
    strip = encode_strip(np.full((2, 16, 16, 4), 60 * seed + 60, np.uint8))
    return {
        "system": system, "item": item, "seed": seed, "prompt": f"a cat {item}", "bucket": "action", "clip": strip,
        "num_frames": 2, "fps": 8, "size": 16, "values": list(values.items()), "nearest": "waving",
    }  # fmt: skip


def test_a_systems_kind_is_known_by_its_name() -> None:
    names = [
        STILL,
        "truth",
        "foundation student",
        TINY.teachers[0].name,
        "student",
        "distilled",
        "wrong motion",
    ]
    kinds = ["still", "truth", "foundation", "teacher", "student", "distilled", "reference"]
    assert [kind_of(name, TINY) for name in names] == kinds


def test_each_sticker_shows_every_system_once() -> None:
    rows = prompt_rows(
        [
            row(STILL, "a", 0, motion_size=0.0),
            row("distilled", "a", 0, error=0.25, motion_size=2.0),
            row("distilled", "a", 1, error=0.75),
            row(STILL, "b", 0),
        ]
    )
    assert [line.prompt for line in rows] == ["a cat a", "a cat b"]
    (clip,) = rows[0].clips["distilled"]
    assert clip.note == "error 0.25, nearest: waving" and rows[0].clips[STILL][0].note == "motion 0.00"
    assert rows[1].clips[STILL][0].note == ""
    systems = [ComparedSystem(name=name, kind="still", label=name) for name in (STILL, "distilled")]
    sheet = decode_picture(picture(rows, systems))
    assert sheet.shape[0] >= 2 * 16 and sheet.shape[1] >= 2 * 2 * 16


def test_figures_are_those_that_the_evaluation_has() -> None:
    columns = metric_columns(RECORD, TINY)
    assert [column.name for column in columns] == [ERROR, "motion_size"]
    assert "the oracle" in columns[0].explanation and columns[0].better == "less"
    still, distilled = figure_rows(RECORD, TINY)
    assert (still.kind, still.count, set(still.values)) == ("still", 4, {ERROR})
    assert (distilled.kind, distilled.count) == ("distilled", 6)
    assert distilled.values[ERROR] == pytest.approx((0.5, 0.4, 0.6))
    (gap,) = gap_rows(RECORD, columns)
    assert gap.verdict == "better" and (gap.system, gap.baseline) == ("distilled", STILL)


def test_the_way_is_counted_stage_by_stage(tmp_path: Path) -> None:
    runs = str(tmp_path)
    with pytest.raises(UserError, match="run experiments/prepare.py first"):
        counts(runs, TINY)
    records = {
        "latents": {"listed": 10, "refused": 3},
        "plans": {
            "teachers": ["a", "b"],
            "counts": [{"planned": 6, "failed": 1}, {"planned": 2, "failed": 0}],
        },
        "kept": {
            "counts": {"candidates": 7, "votes": 9, "survived_round_one": 5, "kept": 4, "prompts_kept": 2},
            "simulated": True,
            "motions": {"waving": {"kept": 3}},
        },
    }
    for kind, record in records.items():
        storage.write_record(storage.join(runs, kind, "one"), {"project": "tiny", **record})
        storage.set_current(runs, kind, "tiny", "one")
    stages = {stage.label: stage for stage in counts(runs, TINY)}
    expected = {
        "usable clips": 7,
        "teachers trained": 2,
        "planned": 8,
        "failed": 1,
        "made": 7,
        "kept": 4,
        "waving": 3,
    }
    assert {label: stages[label].value for label in expected} == expected
    assert stages["votes"].simulated and not stages["planned"].simulated
