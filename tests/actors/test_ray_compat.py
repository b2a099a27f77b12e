"""Ray's private interfaces are used as Ray itself uses them."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray.data._internal.execution.interfaces.op_runtime_metrics import OpRuntimeMetrics
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

from actors.ray_compat import (
    CHECKED_VERSION,
    BackpressurePolicy,
    add_policy,
    rows_done,
    rows_taken,
    trainer_without_watcher,
)

ROOT = Path(__file__).parents[2]


def test_ray_is_the_version_that_was_checked() -> None:
    """In a newer version, read `BackpressurePolicy.can_add_input`, `OpRuntimeMetrics.on_task_submitted` and
    `on_task_finished`, and `TorchTrainer._create_default_callbacks`; then change CHECKED_VERSION. The tests below must
    hold as well, and those of `test_blocks.py` and `test_trainer.py`."""
    assert ray.__version__.startswith(f"{CHECKED_VERSION}."), "read the docstring of this test"
    assert list(inspect.signature(BackpressurePolicy.can_add_input).parameters) == ["self", "op"]
    submitted = inspect.getsource(OpRuntimeMetrics.on_task_submitted)
    assert "self.rows_inputs_of_submitted_tasks += inputs.num_rows()" in submitted
    assert "self._running_tasks[task_index] = RunningTaskInfo(" in submitted
    assert "del self._running_tasks[task_index]" in inspect.getsource(OpRuntimeMetrics.on_task_finished)


def test_rows_of_running_tasks_are_not_done() -> None:
    """Tasks of very different sizes: an average of rows a task would be wrong by most of them."""
    running = {
        number: SimpleNamespace(inputs=SimpleNamespace(num_rows=lambda n=n: n))
        for number, n in [(1, 40), (2, 2)]
    }
    metrics = SimpleNamespace(rows_inputs_of_submitted_tasks=50, _running_tasks=running)
    operator = SimpleNamespace(metrics=metrics)
    assert (rows_taken(operator), rows_done(operator)) == (50, 8)


def test_a_policy_stands_beside_rays_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Never(BackpressurePolicy):
        """Lets nothing through."""

    settings: dict[str, list[type]] = {}
    dataset = SimpleNamespace(context=SimpleNamespace(set_config=settings.__setitem__))
    add_policy(dataset, Never)
    (policies,) = settings.values()
    assert policies[-1] is Never and len(policies) > 1


def test_a_private_cluster_goes_without_the_watcher_process(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher, other = object.__new__(PlacementGroupCleanerCallback), object()
    monkeypatch.setattr(TorchTrainer, "_create_default_callbacks", lambda self: [watcher, other])
    assert object.__new__(trainer_without_watcher())._create_default_callbacks() == [other]


def test_nothing_else_uses_a_private_module_of_ray() -> None:
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for folder in ("actors", "experiments", "platform", "recipes", "serve")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert [name for name, text in texts.items() if "._internal" in text] == ["actors/ray_compat.py"]
