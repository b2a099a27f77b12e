"""From a language model's folder and a text-to-image model's to stickers that candidates are planned of."""

from pathlib import Path

import pytest

from experiments import draw, prompts
from experiments.candidates import gather_stickers
from recipes.toy.projects import SMOKE
from stickers import storage
from stickers.toy.grammar import toy_prompts
from stickers.video.codec import decode_picture
from tests.conftest import byte_tokenizer
from tests.support.text_to_image import save_pipeline

#: what the tiny text-to-image model draws is enlarged to
SIZE = 64


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_models_write_and_draw_and_the_same_commands_again_do_nothing(
    tmp_path: Path, author_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artist = save_pipeline(tmp_path / "artist", byte_tokenizer(tmp_path), square=True)
    (tmp_path / "unsafe.txt").write_text("# ours\ncat\n\n")
    runs, words = str(tmp_path / "runs"), str(tmp_path / "unsafe.txt")
    for again in (False, True):
        capsys.readouterr()
        prompts.main(runs, "smoke", model=str(author_folder), num=8, unsafe=words)
        assert ("nothing to do" in capsys.readouterr().out) == again
        draw.main(runs, "smoke", model=str(artist), steps=1, size=SIZE)
        assert ("nothing to do" in capsys.readouterr().out) == again
    stickers = gather_stickers(runs, SMOKE, None, None)
    assert 1 <= len(stickers.prompts) <= 8 and len(stickers.stickers) == 2 * len(stickers.prompts)
    assert not any("cat" in prompt.text.split() for prompt in stickers.prompts)
    assert {decode_picture(sticker.png).shape for sticker in stickers.stickers} == {(SIZE, SIZE, 4)}
    assert (decode_picture(stickers.stickers[0].png)[..., 3] == 0).any(), "the background is cut out"
    record = storage.find_record(runs, "prompts").record
    assert record["counts"]["said"] > 8 and record["counts"]["sources"] == {
        author_folder.name: len(stickers.prompts)
    }
    assert len(gather_stickers(runs, SMOKE, None, 1).prompts) == 1


def test_tables_and_the_toy_world_without_any_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_texts = [prompt.text for prompt in toy_prompts(2, seed=8)]
    table = tmp_path / "mine.csv"
    rows = [
        *toy_texts,
        toy_texts[0].upper(),
        "a table full of flowers",
        "bad\x07bell",
        "x" * 100_000,
        "قطة تقفز",
        "🎉 party",
    ]
    table.write_text("prompt\n" + "\n".join(rows), encoding="utf-8")
    runs = str(tmp_path / "runs")
    prompts.main(runs, "smoke", table=(str(table),))
    printed = capsys.readouterr().out
    assert "U+0007" in printed and "100000 characters" in printed and "it repeats" in printed
    draw.main(runs, "smoke")
    stickers = gather_stickers(runs, SMOKE, None, None)
    assert [prompt.text for prompt in stickers.prompts] == toy_texts and len(stickers.refused) == 3, (
        "the renderer knows toy prompts"
    )
    table.write_text("prompt\na table full of flowers\n")
    prompts.main(runs, "smoke", table=(str(table),))
    with pytest.raises(
        ValueError, match="none of the pictures can be used; .* names none of the toy subjects"
    ):
        draw.main(runs, "smoke")
    with pytest.raises(ValueError, match="lacks the column 'prompt'"):
        table.write_text("text\na cat")
        prompts.main(runs, "smoke", table=(str(table),))
    with pytest.raises(ValueError, match="no prompts of project 'tiny' yet"):
        draw.main(runs, "tiny")
    with pytest.raises(ValueError, match="no place for the prompt"):
        draw.main(runs, "smoke", template="a sticker")
