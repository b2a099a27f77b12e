"""The loss: dropout at the stated rates, frozen stages, exact batches, and a model that learns from it."""

import pytest
import torch

from stickers.training.objective import RecipeTask, lr_share
from tests.support.training import drifting_mixture, recipe, run, stage, tiny_unet

NO_TEXT = torch.zeros(4, 16)


def test_dropout_drops_text_image_and_both_at_their_rates() -> None:
    task = RecipeTask(
        recipe(drop_text=0.1, drop_image=0.05, drop_both=0.08), tiny_unet(), drifting_mixture(), NO_TEXT
    )
    keep_image, keep_text = task._dropout(torch.rand(100_000, generator=torch.Generator().manual_seed(0)))
    shares = [(keep_image & ~keep_text), (~keep_image & keep_text), (~keep_image & ~keep_text)]
    for share, rate in zip(shares, (0.1, 0.05, 0.08), strict=True):
        assert abs(share.float().mean() - rate) < 0.005


def test_a_halfway_window_always_shows_the_middle_of_the_video() -> None:
    task = RecipeTask(recipe(stages=(stage(window="halfway"),)), tiny_unet(), drifting_mixture(), NO_TEXT)
    middles = drifting_mixture().sets["kept@16"].frames.unflatten(0, (6, 12))[:, 12 // 2].float()
    for step in range(4):
        gaps = (task.batch_at(step).image_BCHW[:, None] - middles).abs().amax(dim=(2, 3, 4))
        assert (gaps.amin(dim=1) == 0).all()


def test_a_frozen_stage_moves_temporal_layers_alone() -> None:
    network = tiny_unet()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    frozen = recipe(stages=(stage(freeze_spatial=True),))
    run(RecipeTask(frozen, network, drifting_mixture(), NO_TEXT), network, weight_decay=0.01)
    moved = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert moved and all("temporal" in name for name in moved)


def test_stages_follow_each_other_and_change_prediction() -> None:
    two = recipe(stages=(stage(), stage(prediction="v_prediction", fps=4)))
    task = RecipeTask(two, tiny_unet(), drifting_mixture(), NO_TEXT)
    assert task.num_steps == 8 and all(torch.isfinite(task.loss_at(step)) for step in range(8))
    rates = [task.lr_at(step)["temporal"] for step in range(8)]
    assert rates[0] == 1e-3 / 20 and rates[3] == 4 * rates[0] and rates[4] == rates[0], "each stage warms up"


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample_residual"])
def test_each_kind_of_prediction_learns(kind: str) -> None:
    network = tiny_unet()
    learning = recipe(stages=(stage(steps=60, prediction=kind, lr=3e-3),), batch_size=8)
    losses = run(RecipeTask(learning, network, drifting_mixture(), NO_TEXT), network).losses
    assert losses[-1] < 0.7 * losses[0]


def test_ranks_share_a_batch() -> None:
    """The mean over two ranks' losses is the loss of the full batch."""
    task = RecipeTask(recipe(), tiny_unet().eval(), drifting_mixture(), NO_TEXT)
    with torch.no_grad():
        halves = [task.loss_at(3, rank, 2) for rank in (0, 1)]
        assert torch.allclose(sum(halves) / 2, task.loss_at(3), atol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "half", "end"), [("linear", 0.5, 0), ("cosine", 0.5, 0), ("constant", 1, 1)]
)
def test_the_rate_falls_by_its_schedule(schedule: str, half: float, end: float) -> None:
    assert lr_share(schedule, 0.0) == 1
    assert lr_share(schedule, 0.5) == pytest.approx(half) and lr_share(schedule, 1.0) == pytest.approx(end)
