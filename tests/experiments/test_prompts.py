"""Which prompts are animated: tables of a person's own, sorted, with a reason for each that is left out."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments import prompts
from experiments.prompts import PromptSettings, answers_in, prompt_set, settings_of, unsafe_words
from recipes.toy.projects import SMOKE
from stickers import storage
from stickers.errors import UserError
from stickers.prompts.sources import DrawnStickers
from stickers.toy.grammar import toy_prompts


def write_table(folder: Path, *texts: str) -> str:
    table = folder / "mine.csv"
    table.write_text("prompt\n" + "\n".join(texts), encoding="utf-8")
    return str(table)


def test_a_list_of_unsafe_words_may_have_comments(tmp_path: Path) -> None:
    (tmp_path / "unsafe.txt").write_text("# ours\ncat\n\n  a dog \n")
    assert unsafe_words("") == [] and unsafe_words(str(tmp_path / "unsafe.txt")) == ["cat", "a dog"]


def test_settings_are_the_projects_changed_from_the_command_line() -> None:
    nothing = PromptSettings(tables=(), model="", num=None, unsafe="", balance=False, seed=0)
    assert settings_of(SMOKE, {"num": None}) == nothing
    drawn = DrawnStickers(num_prompts=9, text_to_image="/artist", tables=("/mine.csv",), seed=3)
    settings = settings_of(replace(SMOKE, stickers=drawn), {"num": 4, "seed": None, "balance": True})
    assert (settings.tables, settings.num, settings.seed, settings.balance) == (("/mine.csv",), 4, 3, True)


def test_a_table_becomes_a_set_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = [prompt.text for prompt in toy_prompts(3, seed=8)]
    (tmp_path / "unsafe.txt").write_text("flowers\n")
    table = write_table(tmp_path, *known, known[0].upper(), "a table full of flowers", "bad\x07bell")
    runs = str(tmp_path / "runs")
    for again in (False, True):
        capsys.readouterr()
        prompts.main(runs, "smoke", table=(table,), unsafe=str(tmp_path / "unsafe.txt"))
        text = capsys.readouterr().out
        assert ("nothing to do" in text) == again
        assert "U+0007" in text and "it repeats" in text and "flowers" in text
    artifact = storage.current(runs, "prompts", "smoke")
    assert artifact is not None and artifact.record["counts"]["said"] == 6
    result = prompt_set(artifact.uri)
    assert [prompt.text for prompt in result.prompts] == known and len(result.refused) == 3
    assert answers_in(storage.join(artifact.uri, "answers")) == {}
    prompts.main(runs, "smoke", table=(table,), num=2)
    assert len(storage.find_records(runs, "prompts")) == 2, "another wish is another set"


def test_without_a_table_the_projects_own_prompts_are_taken(tmp_path: Path) -> None:
    prompts.main(str(tmp_path), "smoke", num=2)
    artifact = storage.current(str(tmp_path), "prompts", "smoke")
    assert artifact is not None
    expected = [prompt.text for prompt in SMOKE.stickers.stickers(2).prompts]
    assert [prompt.text for prompt in prompt_set(artifact.uri).prompts] == expected


def test_what_gives_no_prompt_is_one_sentence(tmp_path: Path, author_folder: Path) -> None:
    runs = str(tmp_path / "runs")
    with pytest.raises(UserError, match="--num is how many prompts, at least 1, got 0"):
        prompts.main(runs, "smoke", num=0)
    with pytest.raises(UserError, match="--model needs --num"):
        prompts.main(runs, "smoke", model=str(author_folder))
    with pytest.raises(UserError, match="none of 1 prompts can be used; the first:"):
        prompts.main(runs, "smoke", table=(write_table(tmp_path, "bad\x07bell"),))
    (tmp_path / "text.csv").write_text("text\na cat")
    with pytest.raises(UserError, match="lacks the column 'prompt'"):
        prompts.main(runs, "smoke", table=(str(tmp_path / "text.csv"),))
    assert storage.find_records(runs, "prompts") == []
