"""A teacher at work: pixels do not depend on neighbours, and a row that fails is recorded and stops nothing."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stickers.artifacts.ids import clip_digest
from stickers.artifacts.records import Candidate, PlanRow
from stickers.candidates.conditions import ConditionEncoder, EncodedConditions, chunks_of
from stickers.candidates.maker import CandidateMaker
from stickers.candidates.plan import PlannedTeacher, make_plan, save_plan
from stickers.pipeline import AnimationPipeline, Conditions
from stickers.toy.grammar import toy_prompts, toy_stickers
from stickers.video.codec import decode_strip

SIZE = 32


@pytest.fixture(scope="module")
def pipeline(student_folder: Path) -> AnimationPipeline:
    return AnimationPipeline.load(student_folder)


@pytest.fixture(scope="module")
def planned(
    pipeline: AnimationPipeline, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[PlanRow], EncodedConditions]:
    """Six rows and what they start from."""
    folder = tmp_path_factory.mktemp("plan")
    prompts = toy_prompts(3, seed=0)
    teacher = PlannedTeacher("calm", "d", asdict(pipeline.settings))
    plan = make_plan(prompts, toy_stickers(prompts, SIZE), [teacher])
    uri = save_plan(str(folder), plan)
    assert pipeline.text is not None
    for chunk in chunks_of(plan.prompts, plan.stickers):
        ConditionEncoder(str(folder), pipeline.autoencoder, pipeline.text, SIZE).encode(chunk)
    return plan.rows, EncodedConditions(uri, str(folder))


def test_pixels_do_not_depend_on_the_neighbours(
    pipeline: AnimationPipeline, planned: tuple[list[PlanRow], EncodedConditions]
) -> None:
    rows, conditions = planned

    def make(some_rows: list[PlanRow]) -> list[Candidate]:
        maker = CandidateMaker(pipeline, conditions, plan_id="p", attempt=0, batch_size=4)
        return maker.make(some_rows)

    together, alone = make(rows), make(rows[:1])[0]
    assert together[0].clip_digest == alone.clip_digest
    assert np.array_equal(decode_strip(together[0].clip or b"", 6), decode_strip(alone.clip or b"", 6))
    broken = make([rows[0], replace(rows[1], sticker_id="gone"), rows[2]])
    assert [row.status for row in broken] == ["made", "failed", "made"]
    assert "gone" in broken[1].error and broken[0].clip_digest == alone.clip_digest


def test_a_candidate_says_what_it_is_of_and_how_it_was_made(
    pipeline: AnimationPipeline, planned: tuple[list[PlanRow], EncodedConditions]
) -> None:
    rows, conditions = planned
    maker = CandidateMaker(pipeline, conditions, plan_id="p", attempt=2, batch_size=4)
    candidates = maker.make(rows)
    for row, candidate in zip(rows, candidates, strict=True):
        assert {name: getattr(candidate, name) for name in asdict(row)} == asdict(row)
        assert candidate.clip is not None and candidate.clip_digest == clip_digest(candidate.clip)
        assert decode_strip(candidate.clip, 6).shape == (6, SIZE, SIZE, 4)
        assert (candidate.plan_id, candidate.attempt, candidate.device) == ("p", 2, "cpu")
        assert (candidate.num_frames, candidate.fps, candidate.error) == (6, 6, "")
        assert candidate.seconds > 0
    assert candidates[0].seconds == candidates[3].seconds, "a batch's time is shared among its rows"
    assert len({candidate.clip_digest for candidate in candidates}) == len(rows)


def test_what_is_given_up_keeps_its_reason(
    pipeline: AnimationPipeline, planned: tuple[list[PlanRow], EncodedConditions]
) -> None:
    rows, conditions = planned
    maker = CandidateMaker(pipeline, conditions, plan_id="p", attempt=1, batch_size=4)
    candidate = maker.give_up(rows[0], "its process died three times")
    assert (candidate.status, candidate.error, candidate.clip) == (
        "failed",
        "its process died three times",
        None,
    )
    assert candidate.clip_digest is None and candidate.seconds == 0


class DeadDevice:
    """Conditions of a device that has failed."""

    def of(self, rows: Sequence[PlanRow]) -> Conditions:
        raise torch.AcceleratorError("device-side assert triggered")


def test_a_failed_device_is_no_failed_row(
    pipeline: AnimationPipeline, planned: tuple[list[PlanRow], EncodedConditions]
) -> None:
    maker = CandidateMaker(pipeline, DeadDevice(), plan_id="p", attempt=0, batch_size=4)
    with pytest.raises(torch.AcceleratorError, match="device-side assert"):
        maker.make(planned[0])
