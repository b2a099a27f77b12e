"""Ray's private interfaces are used as Ray itself uses them."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray._private import node, services, utils
from ray.data._internal.execution.interfaces.op_runtime_metrics import OpRuntimeMetrics
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

from actors.ray_compat import (
    CHECKED_VERSION,
    BackpressurePolicy,
    add_policy,
    patient_start,
    rows_done,
    rows_taken,
    trainer_without_watcher,
)

ROOT = Path(__file__).parents[2]


def test_ray_is_the_version_that_was_checked() -> None:
    """In a newer version, read `BackpressurePolicy.can_add_input`, `OpRuntimeMetrics.on_task_submitted` and
    `on_task_finished`, `TorchTrainer._create_default_callbacks`, `services.start_raylet`, and how `Node.__init__` waits
    for a node; then change CHECKED_VERSION. The tests below must hold as well, and those of `test_blocks.py`,
    `test_cluster.py` and `test_trainer.py`."""
    assert ray.__version__.startswith(f"{CHECKED_VERSION}."), "read the docstring of this test"
    assert list(inspect.signature(BackpressurePolicy.can_add_input).parameters) == ["self", "op"]
    submitted = inspect.getsource(OpRuntimeMetrics.on_task_submitted)
    assert "self.rows_inputs_of_submitted_tasks += inputs.num_rows()" in submitted
    assert "self._running_tasks[task_index] = RunningTaskInfo(" in submitted
    assert "del self._running_tasks[task_index]" in inspect.getsource(OpRuntimeMetrics.on_task_finished)
    start = inspect.getsource(node.Node)
    assert "raylet_start_wait_time_s = 30" in start and "ray._private.services.get_node(" in start
    assert 'os.environ.get("RAY_gcs_server_port_wait_time_s"' in start
    without_dashboard = "if ray._private.utils.get_dashboard_dependency_error() is not None:"
    assert without_dashboard in inspect.getsource(services.start_raylet)


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


def test_a_node_that_starts_late_is_waited_for_and_one_that_never_does_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0

    def look_once(gcs_address: str, node_id: str) -> dict[str, str]:
        nonlocal looks
        looks += 1
        if looks < 3 or node_id == "never":
            raise RuntimeError("no such node")
        return {"address": gcs_address}

    monkeypatch.setattr(services, "get_node", look_once)
    with patient_start(60):
        assert services.get_node("here", "late") == {"address": "here"} and looks == 3
        assert utils.get_dashboard_dependency_error() is not None
    assert services.get_node is look_once and utils.get_dashboard_dependency_error() is None
    with patient_start(0), pytest.raises(RuntimeError, match="no such node"):
        services.get_node("here", "never")


def test_nothing_else_uses_a_private_module_of_ray() -> None:
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for folder in ("actors", "experiments", "platform", "recipes", "serve")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert [name for name, text in texts.items() if "._internal" in text] == ["actors/ray_compat.py"]
