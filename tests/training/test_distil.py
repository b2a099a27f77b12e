"""Distillation: the target is the teacher's own guided steps, and the student reaches it."""

from typing import Any

import pytest
import torch

from stickers.training.distil import DistillationTask
from stickers.training.recipe import Distillation
from tests.support.training import drifting_mixture, run, tiny_unet

SETTINGS: dict[str, Any] = {
    "name": "d",
    "student": "s",
    "dataset": "kept",
    "resolution": 16,
    "batch_size": 4,
    "lr": 3e-3,
    "guidance_image": 1.0,
    "warmup_steps": 1,
    "precision": "fp32",
}


def task_of(student: Any, **changes: Any) -> DistillationTask:
    """A student beside a teacher with the same weights."""
    recipe = Distillation(**SETTINGS, **changes)
    text = torch.zeros(4, 16)
    return DistillationTask(recipe, student, tiny_unet(), drifting_mixture(), text, "sample_residual")


def test_one_unguided_teacher_step_a_student_step_is_the_teacher_itself() -> None:
    task = task_of(tiny_unet(), steps=4, teacher_steps=8, guidance_text=1.0)
    assert max(float(task.loss_at(step).detach()) for step in range(8)) < 1e-6
    assert task.num_steps == 4 and task.lr_at(0) == {"spatial": 3e-3, "temporal": 3e-3}
    assert task.lr_at(2)["spatial"] == 3e-3 / 2


def test_guidance_acts_in_the_first_steps_alone() -> None:
    task = task_of(tiny_unet(), steps=4, teacher_steps=8, guidance_text=4.0, guided_steps=3)
    guided = [float(task.loss_at(step).detach()) > 1e-4 for step in range(24)]
    assert any(guided) and not all(guided)


@pytest.mark.long
def test_distillation_brings_the_student_to_its_teacher() -> None:
    """Four teacher steps to a student step: the loss starts above zero and falls."""
    student = tiny_unet()
    task = task_of(student, steps=150, guidance_text=4.0)

    def mean_loss() -> float:
        with torch.no_grad():
            return sum(float(task.loss_at(step)) for step in range(1000, 1016)) / 16

    before = mean_loss()
    run(task, student)
    assert mean_loss() < 0.8 * before
