"""The loop: when it saves, checks and logs, and when it gives a training up."""

import pytest
import torch
from torch import Tensor, nn

from stickers.training.loop import DivergedError, DivergenceGuard, PlainEngine, parameter_groups, train
from stickers.training.objective import RecipeTask
from tests.support.training import Losses, drifting_mixture, recipe, run, tiny_unet


class Halving:
    """A task that pulls one weight to zero."""

    num_steps = 7

    def __init__(self, network: nn.Linear) -> None:
        self.network = network

    def lr_at(self, step: int) -> dict[str, float]:
        """The same rate in each step."""
        return {"spatial": 0.1 + 0 * step, "temporal": 0.0}

    def loss_at(self, step: int, rank: int = 0, world_size: int = 1) -> Tensor:
        """The weight's square; the arguments are not used."""
        del step, rank, world_size
        return self.network.weight.square().sum()


def test_saving_validation_and_logging_come_at_their_steps() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    saves: list[int] = []
    validations: list[int] = []
    tracker = Losses()
    engine = PlainEngine(network, weight_decay=0.0, gradient_clip=1.0)
    train(
        Halving(network),
        engine,
        tracker,
        start_step=1,
        save=saves.append,
        save_every=3,
        validate=validations.append,
        validate_every=2,
        log_every=4,
    )
    assert (saves, validations) == ([3, 6, 7], [2, 4, 6])
    assert len(tracker.losses) == 2 and tracker.losses[1] < tracker.losses[0] <= 1


def test_parameters_are_grouped_by_name() -> None:
    spatial, temporal = parameter_groups(
        nn.ModuleDict({"conv": nn.Linear(1, 1), "temporal": nn.Linear(1, 1)})
    )
    assert (spatial["name"], len(spatial["params"])) == ("spatial", 2)
    assert (temporal["name"], len(temporal["params"])) == ("temporal", 2)


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    network = tiny_unet()
    network.conv_in.weight.data.fill_(float("nan"))
    with pytest.raises(DivergedError, match="the loss is nan at step 0"):
        run(RecipeTask(recipe(), network, drifting_mixture(), torch.zeros(4, 16)), network)


def test_a_loss_that_stays_far_above_its_lowest_stops_the_training() -> None:
    watch = DivergenceGuard()
    for step, loss in enumerate((1.0, 0.1, 5.0, 5.0, 0.2, 5.0, 5.0)):
        watch.mean(step, loss)
    with pytest.raises(DivergedError, match="the loss is 5 at step 7, 50 times its lowest"):
        watch.mean(7, 5.0)
    with pytest.raises(DivergedError, match="the gradient norm is inf at step 8"):
        watch.step(8, torch.tensor(1.0), float("inf"))
