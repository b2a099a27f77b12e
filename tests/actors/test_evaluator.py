"""The evaluator animates held-out stickers with every system, on a scale where the still is 1."""

from dataclasses import replace

import numpy as np

from actors.evaluator import ERROR, Evaluator, HeldOut, foundation_systems
from recipes.toy.projects import FOUNDATIONS, TINY
from stickers.evaluation.measures import METRICS, Metric
from stickers.toy.project_parts import ToyStickers
from stickers.video.codec import decode_strip

SIZE = 32


def held_out_sticker() -> HeldOut:
    stickers = ToyStickers(num_prompts=1, size=SIZE, seed=1, held_out=True).stickers()
    return HeldOut(prompt=stickers.prompts[0], sticker=stickers.stickers[0], num_seeds=1)


def student_alone() -> dict[str, tuple[str, str]]:
    base = str(FOUNDATIONS / "tiny")
    return {
        name: (folder, base) for name, folder in foundation_systems(base).items() if name.endswith("student")
    }


def test_the_still_is_one_and_truth_is_below() -> None:
    evaluator = Evaluator(student_alone(), METRICS, TINY.evaluation.truth)
    rows = {row["system"]: row for row in evaluator.evaluate(held_out_sticker())}
    assert set(rows) == {"still", "truth", "truth, frames shuffled", "wrong motion", "foundation student"}
    errors = {name: row["values"][ERROR] for name, row in rows.items()}
    assert abs(errors["still"] - 1) < 1e-3, "batches of other sizes round otherwise"
    assert errors["truth"] < 1 < errors["wrong motion"]
    assert decode_strip(rows["foundation student"]["clip"], 8).shape == (8, SIZE, SIZE, 4)


def test_without_a_truth_there_are_the_metrics_and_a_projects_own_among_them() -> None:
    darkness = Metric(
        name="darkness",
        better="neither",
        explanation="mean darkness",
        measure=lambda clip, _: 255 - float(np.mean(clip)),
    )
    evaluator = Evaluator(student_alone(), (*METRICS, darkness), None)
    work = replace(held_out_sticker(), num_seeds=2)
    rows = evaluator.evaluate(work)
    assert [row["system"] for row in rows] == ["still", "foundation student"] * 2
    assert set(rows[0]["values"]) == {"motion_size", "consistency", "likeness", "darkness"}
    still, drawn = rows[:2]
    assert still["values"]["motion_size"] == 0 and still["values"]["likeness"] > 0.9
    assert {row["cluster"] for row in rows} == {work.prompt.prompt_id} and drawn["weights"] == {}
