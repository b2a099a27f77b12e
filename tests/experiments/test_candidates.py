"""What is asked of `candidates.py`: a whole plan, a part again, more by budget; a dry run makes none of it."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from experiments.candidates import gather_stickers, main, origin_of
from recipes.toy.projects import TINY
from stickers import storage
from stickers.errors import UserError
from tests.support.plans import finish_plan
from tests.support.teachers import save_teacher


@pytest.fixture
def options(tmp_path: Path, tiny_foundations: Path) -> dict[str, Any]:
    """A dry run on two finished teachers."""
    for seed, name in enumerate(("good", "lazy")):
        save_teacher(tmp_path / "runs", name, seed, tiny_foundations / "video_unets" / "student")
    return {
        "runs": str(tmp_path / "runs"),
        "project": "tiny",
        "foundations": str(tiny_foundations),
        "dry_run": True,
    }


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"plan": "x"}, "--plan means nothing for a new plan; it is for --regenerate"),
        ({"regenerate": "made", "audit": True}, "--regenerate and --audit ask for different things"),
        ({"audit": True, "teachers": ("a",)}, "--teachers means nothing for --audit"),
        ({"budget": 1.0, "reseed": 1}, "--reseed means nothing for --budget; it is for --regenerate"),
        ({"num_prompts": 0}, "at least 1"),
    ],
)
def test_a_flag_that_would_change_nothing_is_refused(
    tmp_path: Path, extra: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        main(str(tmp_path), "smoke", **extra)


def test_a_dry_run_says_what_would_be_made(
    options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(**options, teachers=("good", "lazy"), num_prompts=3) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "3 prompts, 6 stickers, 2 teachers, 12 candidates" in text
    assert not Path(options["runs"], "plans").exists()


def test_an_unknown_teacher_is_one_sentence(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"no finished teacher nobody .* finished are: good, lazy"):
        main(**options, teachers=("nobody",))
    with pytest.raises(UserError, match="--encoders names lively, which takes no part; teachers: good"):
        main(**options, teachers=("good",), encoders={"lively": "/nowhere"})


def test_a_finished_plan_is_made_again_in_part_or_extended(
    options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="holds nothing of project 'tiny'"):
        main(**options, regenerate="teacher == 'good'")
    plan = finish_plan(tmp_path / "runs", 2)
    main(**options, regenerate="teacher == 'good'")
    text = " ".join(capsys.readouterr().out.split())
    assert f"regeneration of part of plan {plan.plan_id}" in text and "1 teachers, 4 candidates" in text
    with pytest.raises(UserError, match="nobody has judged a candidate"):
        main(**options, budget=10.0, plan=plan.plan_id)
    main(**options, status=True)
    assert f"plan {plan.plan_id} is finished" in " ".join(capsys.readouterr().out.split())
    assert len(storage.find_records(options["runs"], "plans")) == 1


def test_stickers_come_from_a_table_or_the_project(tmp_path: Path) -> None:
    runs = str(tmp_path)
    assert len(gather_stickers(runs, TINY, None, 2).prompts) == 2
    assert origin_of(runs, TINY, None) == TINY.stickers.origin
    Image.new("RGBA", (32, 32), "red").save(tmp_path / "a.png")
    table = tmp_path / "mine.csv"
    table.write_text("prompt,picture\na box waving,a.png\na box dancing,a.png\na box jumping,none.png\n")
    stickers = gather_stickers(runs, TINY, str(table), 1)
    assert [prompt.text for prompt in stickers.prompts] == ["a box waving"] and len(stickers.refused) == 1
    assert origin_of(runs, TINY, str(table)) == f"table {table}"
