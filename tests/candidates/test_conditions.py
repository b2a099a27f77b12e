"""What clips start from: encoded once, found by sticker, and a picture that cannot be read fails its rows alone."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stickers.candidates import conditions as module
from stickers.candidates.conditions import ConditionEncoder, EncodedConditions, chunks_of, conditions_folder
from stickers.candidates.plan import Plan, PlannedTeacher, make_plan, save_plan
from stickers.data.encoding import to_tensor
from stickers.diffusion.sampling import SamplerSettings
from stickers.pipeline import AnimationPipeline
from stickers.toy.grammar import toy_prompts, toy_stickers
from stickers.video.clips import fit_picture
from stickers.video.codec import decode_picture
from tests.support.student_requests import encoded as encoded_picture

SIZE, BROKEN = 32, 5
PROMPTS = toy_prompts(5, seed=0)
STICKERS = toy_stickers(PROMPTS, SIZE)
STICKERS[BROKEN] = replace(STICKERS[BROKEN], png=b"not a picture")


@pytest.fixture(scope="module")
def pipeline(student_folder: Path) -> AnimationPipeline:
    return AnimationPipeline.load(student_folder)


@pytest.fixture
def plan() -> Plan:
    return make_plan(PROMPTS, STICKERS, [PlannedTeacher("calm", "d", asdict(SamplerSettings()))])


@pytest.fixture
def encoded(
    plan: Plan, pipeline: AnimationPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> EncodedConditions:
    """The plan's conditions, in chunks of two prompts that are encoded in another order."""
    monkeypatch.setattr(module, "CHUNK", 2)
    uri = save_plan(str(tmp_path), plan)
    folder = conditions_folder(uri, ["autoencoder", "text"], SIZE)
    assert pipeline.text is not None
    encoder = ConditionEncoder(folder, pipeline.autoencoder, pipeline.text, SIZE)
    chunks = chunks_of(plan.prompts, plan.stickers)
    assert [encoder.encode(chunk) for chunk in reversed(chunks)] == [2, 1, 0]
    return EncodedConditions(uri, folder)


def test_chunks_hold_every_prompt_with_its_stickers_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    chunks = chunks_of(PROMPTS, STICKERS[::-1])
    assert [chunk.number for chunk in chunks] == [0, 1, 2]
    assert [prompt for chunk in chunks for prompt in chunk.prompts] == PROMPTS
    for chunk in chunks:
        assert {row.prompt_id for row in chunk.stickers} == {prompt.prompt_id for prompt in chunk.prompts}
    assert sum(len(chunk.stickers) for chunk in chunks) == len(STICKERS)
    assert chunks_of([], []) == []


def test_other_encoders_and_sizes_lie_in_other_folders() -> None:
    folders = {
        conditions_folder("runs/plans/p", encoders, size)
        for encoders, size in ((["a", "b"], 32), (["a", "c"], 32), (["a", "b"], 64))
    }
    assert len(folders) == 3 and all(folder.startswith("runs/plans/p/conditions/") for folder in folders)
    assert conditions_folder("p", ("a", "b"), 32) == conditions_folder("p", ["a", "b"], 32)


def test_conditions_are_what_the_networks_say_of_a_row(
    encoded: EncodedConditions, plan: Plan, pipeline: AnimationPipeline
) -> None:
    rows = [plan.rows[9], plan.rows[0], plan.rows[3]]
    conditions = encoded.of(rows)
    readable = [sticker for sticker in STICKERS if sticker.png != b"not a picture"]
    pictures = {sticker.sticker_id: fit_picture(decode_picture(sticker.png), SIZE) for sticker in readable}
    assert pipeline.text is not None
    for row, image, text in zip(rows, conditions.image_BCHW, conditions.text_BLD, strict=True):
        frame = to_tensor(pictures[row.sticker_id][None])[None]
        with torch.no_grad():
            assert torch.allclose(image, pipeline.autoencoder.encode(frame)[0, 0], atol=1e-4)
        assert torch.allclose(text, pipeline.text.encode([row.prompt])[0], atol=1e-4)
    assert torch.allclose(conditions.nothing_LD, pipeline.text.encode([""])[0], atol=1e-4)


def test_a_row_does_not_depend_on_its_neighbours(encoded: EncodedConditions, plan: Plan) -> None:
    together, alone = encoded.of([plan.rows[8], plan.rows[1]]), encoded.of([plan.rows[1]])
    assert torch.equal(together.image_BCHW[1], alone.image_BCHW[0])
    assert torch.equal(together.text_BLD[1], alone.text_BLD[0])


def test_a_picture_that_cannot_be_read_fails_its_rows_alone(encoded: EncodedConditions, plan: Plan) -> None:
    bad = next(row for row in plan.rows if row.sticker_id == STICKERS[BROKEN].sticker_id)
    with pytest.raises(ValueError, match="picture"):
        encoded.of([bad])
    assert len(encoded.of([row for row in plan.rows if row != bad]).image_BCHW) == len(plan.rows) - 1
    with pytest.raises(ValueError, match="names sticker gone, which its sticker table does not hold"):
        encoded.of([replace(bad, sticker_id="gone")])


@pytest.mark.parametrize("size", [SIZE, 48])
@pytest.mark.parametrize("hidden", [0, 255])
def test_teachers_are_shown_what_a_server_shows_the_student(
    pipeline: AnimationPipeline, tmp_path: Path, size: int, hidden: int
) -> None:
    """Whatever their size, and whatever colour is hidden where pictures are transparent."""
    prompts, stickers = toy_prompts(1, seed=3), []
    for sticker in toy_stickers(prompts, size):
        picture = decode_picture(sticker.png).copy()
        picture[picture[..., 3] == 0, :3] = hidden
        stickers.append(replace(sticker, png=encoded_picture(picture)))
    plan = make_plan(prompts, stickers, [PlannedTeacher("calm", "d", asdict(SamplerSettings()))])
    uri = save_plan(str(tmp_path), plan)
    assert pipeline.text is not None
    (chunk,) = chunks_of(plan.prompts, plan.stickers)
    ConditionEncoder(str(tmp_path / "c"), pipeline.autoencoder, pipeline.text, SIZE).encode(chunk)
    image = EncodedConditions(uri, str(tmp_path / "c")).of(plan.rows).image_BCHW
    pictures = [decode_picture(sticker.png) for sticker in plan.stickers]
    assert (np.concatenate([picture[picture[..., 3] == 0] for picture in pictures])[:, :3] == hidden).all()
    as_served = pipeline.encode([fit_picture(picture, SIZE) for picture in pictures], ["", ""])
    for number, sticker in enumerate(plan.stickers):
        rows = [index for index, row in enumerate(plan.rows) if row.sticker_id == sticker.sticker_id]
        assert torch.allclose(image[rows[0]], as_served.image_BCHW[number], atol=1e-4)
