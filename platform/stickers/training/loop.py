"""The training loop: one readable page that teachers, students, distillation and foundations share.

It does not depend on Ray, DeepSpeed or MLflow: engine, tracker and saving are arguments.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

#: of AdamW
BETAS = (0.9, 0.99)


class Task(Protocol):
    """The loss and the learning rates of each step."""

    @property
    def num_steps(self) -> int:
        """Training steps."""
        ...

    def lr_at(self, step: int) -> dict[str, float]:
        """The learning rate of each parameter group, by name."""
        ...

    def loss_at(self, step: int, rank: int = 0, world_size: int = 1) -> Tensor:
        """The loss of a step, over this rank's share of the batch."""
        ...


class Engine(Protocol):
    """Optimises a network."""

    rank: int
    world_size: int

    def step(self, loss: Tensor, lr: dict[str, float]) -> float:
        """Backward, clip, update; returns the gradient norm before clipping."""
        ...


class Tracker(Protocol):
    """Receives figures."""

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Record the metrics of a step."""
        ...


class DivergedError(RuntimeError):
    """The training cannot recover; the last saved checkpoint is the last good one."""


class DivergenceGuard:
    """Stops a training whose loss or gradient is not finite, or whose loss stays far above its lowest."""

    #: a loss this many times the lowest one, three times in a row, does not come back (a change of prediction between
    #: stages raises it up to tenfold)
    TIMES, IN_A_ROW = 30.0, 3

    def __init__(self) -> None:
        self.lowest, self.num_high = math.inf, 0

    def step(self, step: int, loss: Tensor, norm: float | None = None) -> None:
        """Check the loss, and the gradient norm once it is known."""
        for name, value in (("loss", float(loss.detach())), ("gradient norm", norm)):
            if value is not None and not math.isfinite(value):
                raise DivergedError(
                    f"the {name} is {value} at step {step}; lower the learning rate or check the data"
                )

    def mean(self, step: int, loss: float) -> None:
        """Check a mean of recent losses."""
        self.lowest = min(self.lowest, loss)
        self.num_high = self.num_high + 1 if loss > self.TIMES * self.lowest else 0
        if self.num_high >= self.IN_A_ROW:
            raise DivergedError(
                f"the loss is {loss:.3g} at step {step}, {loss / self.lowest:.0f} times its lowest; "
                "lower the learning rate or check the data"
            )


def train(
    task: Task,
    engine: Engine,
    tracker: Tracker,
    *,
    start_step: int = 0,
    save: Callable[[int], None],
    save_every: int,
    validate: Callable[[int], None] | None = None,
    validate_every: int = 0,
    log_every: int = 10,
) -> None:
    """Run steps `start_step` .. `task.num_steps` - 1.

    `save(done)` is called with the number of finished steps, every `save_every` steps and at the end; `validate(done)`
    every `validate_every` steps but not at the end, where the caller looks at the result.

    Raises:
        DivergedError: the loss or the gradient became NaN or infinite, or the loss stays far above its lowest.
    """
    recent: list[float] = []
    watch = DivergenceGuard()
    for step in range(start_step, task.num_steps):
        lr = task.lr_at(step)
        loss = task.loss_at(step, engine.rank, engine.world_size)
        watch.step(step, loss)
        norm = engine.step(loss, lr)
        watch.step(step, loss, norm)
        recent.append(float(loss.detach()))
        done = step + 1
        if done % log_every == 0 or done == task.num_steps:
            figures = {
                "train/loss": sum(recent) / len(recent),
                "train/grad_norm": norm,
                "train/lr": max(lr.values()),
            }
            tracker.log(figures, done)
            watch.mean(step, figures["train/loss"])
            recent = []
        if done % save_every == 0 or done == task.num_steps:
            save(done)
        if validate and validate_every and done % validate_every == 0 and done < task.num_steps:
            validate(done)


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Trained weights in two groups: those that an image model has too, and the temporal layers."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    spatial = [p for name, p in trained if "temporal" not in name]
    temporal = [p for name, p in trained if "temporal" in name]
    return [{"params": spatial, "name": "spatial"}, {"params": temporal, "name": "temporal"}]


class PlainEngine:
    """AdamW in one process, for pretraining small foundations and for tests."""

    rank, world_size = 0, 1

    def __init__(self, model: nn.Module, *, weight_decay: float, gradient_clip: float) -> None:
        groups = [group for group in parameter_groups(model) if group["params"]]
        self.model, self.gradient_clip = model, gradient_clip
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=BETAS, weight_decay=weight_decay, fused=True)

    def step(self, loss: Tensor, lr: dict[str, float]) -> float:
        """Backward, clip, update; returns the gradient norm before clipping."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr[group["name"]]
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.gradient_clip)
        self.optimizer.step()
        return float(norm)
