"""The judge measures every system at one size, on a scale where the still is 1."""

from actors.judge import Item, Judge, foundation_systems
from recipes.toy.profiles import FOUNDATIONS
from stickers.prompts.tables import held_out_prompts
from stickers.video.codec import decode_strip


def test_foundations_are_judged_at_another_size_than_they_were_pretrained_at() -> None:
    base = str(FOUNDATIONS / "tiny")
    systems = {name: folder for name, folder in foundation_systems(base).items() if name.endswith("student")}
    judge = Judge(systems, base, size=24)
    rows = {row["system"]: row for row in judge.judge(Item(held_out_prompts(1, seed=1)[0].text, 0, 1))}
    assert set(rows) == {"still", "truth", "truth, frames shuffled", "wrong motion", "foundation student"}
    assert rows["still"]["distance"] == rows["still"]["still_distance"]
    assert rows["truth"]["distance"] < rows["still"]["distance"] < rows["wrong motion"]["distance"]
    assert decode_strip(rows["foundation student"]["clip"], 8).shape == (8, 24, 24, 4)
