"""The loss: dropout at the stated rates, frozen stages, exact batches, and a model that learns from it."""

import pytest
import torch

from stickers.data.latents import LatentSet
from stickers.data.mixture import Mixture
from stickers.models.unet import VideoUNet
from stickers.training.distil import DistillationTask
from stickers.training.loop import Diverged, PlainEngine, Watch, train
from stickers.training.objective import RecipeTask, fall
from stickers.training.recipe import Distillation, Recipe, Stage

TINY = {
    "block_out_channels": (16, 32),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 16,
    "norm_num_groups": 8,
}


class Quiet:
    def __init__(self):
        self.losses = []

    def log(self, metrics, step):
        self.losses.append(metrics["train/loss"])


def unet():
    torch.manual_seed(0)
    return VideoUNet(**TINY)


def mixture():
    dice = torch.Generator().manual_seed(0)
    still = torch.randn(6, 1, 8, 4, 4, generator=dice)
    drift = torch.linspace(-1, 1, 12)[None, :, None, None, None]
    return Mixture(
        {
            "kept@16": LatentSet(
                frames=(still + drift).flatten(0, 1).half(),
                first=torch.arange(6) * 12,
                length=torch.full((6,), 12),
                fps=torch.full((6,), 8.0),
                texts=torch.randn(6, 4, 16, generator=dice).half(),
                text_of=torch.arange(6),
            )
        }
    )


def recipe(**changes):
    stage = Stage(
        steps=6, resolution=16, fps=8, prediction="sample_residual", datasets=(("kept", 1.0),), lr=2e-3
    )
    asked = {
        "name": "t",
        "role": "teacher",
        "foundation": "x",
        "stages": (stage,),
        "batch_size": 4,
        "precision": "fp32",
    }
    return Recipe(**{**asked, **changes})


def stage(**changes):
    asked = {
        "steps": 4,
        "resolution": 16,
        "fps": 8,
        "prediction": "epsilon",
        "datasets": (("kept", 1.0),),
        "lr": 1e-3,
    }
    return Stage(**{**asked, **changes})


def test_dropout_drops_text_image_and_both_at_their_rates():
    task = RecipeTask(
        recipe(drop_text=0.1, drop_image=0.05, drop_both=0.08), unet(), mixture(), torch.zeros(4, 16)
    )
    keep_image, keep_text = task._dropout(torch.rand(100_000, generator=torch.Generator().manual_seed(0)))
    rates = [(keep_image & ~keep_text), (~keep_image & keep_text), (~keep_image & ~keep_text)]
    for rate, wanted in zip(rates, (0.1, 0.05, 0.08), strict=True):
        assert abs(rate.float().mean() - wanted) < 0.005


def test_a_halfway_window_always_shows_the_middle_of_the_video():
    task = RecipeTask(recipe(stages=(stage(window="halfway"),)), unet(), mixture(), torch.zeros(4, 16))
    middles = mixture().sets["kept@16"].frames.unflatten(0, (6, 12))[:, 12 // 2].float()
    for step in range(4):
        gaps = (task.batch_at(step).image_BCHW[:, None] - middles).abs().amax(dim=(2, 3, 4))
        assert (gaps.amin(dim=1) == 0).all()


def test_a_frozen_stage_moves_temporal_layers_alone():
    model = unet()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    asked = recipe(stages=(stage(freeze_spatial=True),))
    task = RecipeTask(asked, model, mixture(), torch.zeros(4, 16))
    train(
        task,
        PlainEngine(model, weight_decay=0.01, gradient_clip=1.0),
        Quiet(),
        save=lambda n: None,
        save_every=9,
    )
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved and all("temporal" in name for name in moved)


def test_stages_follow_each_other_and_change_prediction():
    asked = recipe(stages=(stage(), stage(prediction="v_prediction", fps=4)))
    task = RecipeTask(asked, unet(), mixture(), torch.zeros(4, 16))
    assert [asked.stage_at(s)[0].prediction for s in (0, 3, 4, 7)] == ["epsilon"] * 2 + ["v_prediction"] * 2
    assert all(torch.isfinite(task.loss_at(step)) for step in range(8))
    with pytest.raises(ValueError, match="has 8 steps, there is no step 8"):
        asked.stage_at(8)


def test_every_kind_of_prediction_learns():
    for kind in ("epsilon", "v_prediction", "sample_residual"):
        model = unet()
        asked = recipe(stages=(stage(steps=60, prediction=kind, lr=3e-3),), batch_size=8)
        seen = Quiet()
        task = RecipeTask(asked, model, mixture(), torch.zeros(4, 16))
        train(
            task,
            PlainEngine(model, weight_decay=0.0, gradient_clip=1.0),
            seen,
            save=lambda n: None,
            save_every=99,
        )
        assert seen.losses[-1] < 0.7 * seen.losses[0], kind


def test_ranks_share_a_batch():
    """The mean over two ranks' losses is the loss of the whole batch."""
    task = RecipeTask(recipe(), unet().eval(), mixture(), torch.zeros(4, 16))
    with torch.no_grad():
        halves = [task.loss_at(3, rank, 2) for rank in (0, 1)]
        assert torch.allclose(sum(halves) / 2, task.loss_at(3), atol=1e-6)


def test_a_loss_that_is_no_number_stops_the_training():
    model = unet()
    model.conv_in.weight.data.fill_(float("nan"))
    task = RecipeTask(recipe(), model, mixture(), torch.zeros(4, 16))
    with pytest.raises(Diverged, match="at step 0"):
        train(
            task,
            PlainEngine(model, weight_decay=0, gradient_clip=1),
            Quiet(),
            save=lambda n: None,
            save_every=1,
        )


def test_distillation_brings_the_student_to_its_teacher():
    """With no guidance and one teacher step a student step the target is the teacher itself: the loss starts at zero;
    with four steps it starts above and falls."""
    asked = {
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
    same = Distillation(**asked, steps=4, teacher_steps=8, guidance_text=1.0)
    task = DistillationTask(same, unet(), unet(), mixture(), torch.zeros(4, 16), "sample_residual")
    assert max(float(task.loss_at(step).detach()) for step in range(8)) < 1e-6
    unguided = Distillation(**asked, steps=4, teacher_steps=8, guidance_text=4.0, guided_steps=3)
    task = DistillationTask(unguided, unet(), unet(), mixture(), torch.zeros(4, 16), "sample_residual")
    off = [float(task.loss_at(step).detach()) > 1e-4 for step in range(24)]
    assert any(off) and not all(off), "guidance acts in the first three of eight steps alone"
    student = unet()
    four = Distillation(**asked, steps=150, guidance_text=4.0)
    task = DistillationTask(four, student, unet(), mixture(), torch.zeros(4, 16), "sample_residual")

    def measured():
        with torch.no_grad():
            return sum(float(task.loss_at(step)) for step in range(1000, 1016))

    before = measured()
    train(
        task,
        PlainEngine(student, weight_decay=0.0, gradient_clip=1.0),
        Quiet(),
        save=lambda n: None,
        save_every=99,
    )
    assert measured() < 0.8 * before


def test_recipes_refuse_what_they_cannot_mean():
    with pytest.raises(ValueError, match="has no stages"):
        recipe(stages=())
    with pytest.raises(ValueError, match="prediction 'x0' is unknown; accepted"):
        stage(prediction="x0")
    with pytest.raises(ValueError, match="must be a multiple of student_steps"):
        Distillation(name="d", student="s", steps=1, dataset="kept", resolution=16, teacher_steps=30)
    assert recipe().digest() == recipe().digest() != recipe(seed=1).digest()


def test_a_loss_that_stays_far_above_its_lowest_stops_the_training():
    watch = Watch()
    for step, loss in enumerate((1.0, 0.1, 5.0, 5.0, 0.2, 5.0, 5.0)):
        watch.mean(step, loss)
    with pytest.raises(Diverged, match="the loss is 5 at step 7, 50 times its lowest"):
        watch.mean(7, 5.0)
    with pytest.raises(Diverged, match="the gradient norm is inf at step 8"):
        watch.step(8, torch.tensor(1.0), float("inf"))


@pytest.mark.parametrize(
    ("schedule", "half", "end"), [("linear", 0.5, 0), ("cosine", 0.5, 0), ("constant", 1, 1)]
)
def test_the_rate_falls_as_the_schedule_says(schedule, half, end):
    assert fall(schedule, 0.0) == 1
    assert fall(schedule, 0.5) == pytest.approx(half) and fall(schedule, 1.0) == pytest.approx(end)
