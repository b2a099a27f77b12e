"""The private interfaces of Ray that this program uses.

Ray Data has no public way to hold an operator back, or to learn how many rows a running task was given. Ray Train has
none to leave out one of its callbacks, and Ray none to give a new cluster more time to start.
`tests/actors/test_ray_compat.py` names the version for which this was checked, and what to check in a newer one.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ray
from ray._private import services, utils
from ray.data._internal.execution.backpressure_policy import (
    ENABLED_BACKPRESSURE_POLICIES,
    ENABLED_BACKPRESSURE_POLICIES_CONFIG_KEY,
)
from ray.data._internal.execution.backpressure_policy.backpressure_policy import BackpressurePolicy
from ray.data._internal.execution.interfaces import PhysicalOperator

__all__ = [
    "BackpressurePolicy",
    "PhysicalOperator",
    "add_policy",
    "patient_start",
    "rows_done",
    "rows_taken",
    "trainer_without_watcher",
]

if TYPE_CHECKING:
    from ray.train.torch import TorchTrainer
    from ray.train.v2._internal.execution.callback import RayTrainCallback

#: the Ray release whose sources were read
CHECKED_VERSION = "2.60"
#: seconds between two looks for a node that starts
POLL_SECONDS = 0.2


def add_policy(dataset: ray.data.Dataset, policy: type[BackpressurePolicy]) -> None:
    """Ask one more policy, beside Ray's own, whether an operator of this dataset may take more rows."""
    policies = [*ENABLED_BACKPRESSURE_POLICIES, policy]
    dataset.context.set_config(ENABLED_BACKPRESSURE_POLICIES_CONFIG_KEY, policies)


def rows_taken(operator: PhysicalOperator) -> int:
    """The rows that an operator's tasks were given, those of running tasks too."""
    return operator.metrics.rows_inputs_of_submitted_tasks


def rows_done(operator: PhysicalOperator) -> int:
    """The rows of an operator's finished tasks.

    Ray's public figure is an average of rows a task. Tasks differ in size, so it may be far from the truth.
    """
    running: Sequence[int | None] = [
        task.inputs.num_rows() for task in operator.metrics._running_tasks.values()
    ]
    return rows_taken(operator) - sum(rows or 0 for rows in running)


def trainer_without_watcher() -> type["TorchTrainer"]:
    """The trainer for a cluster that ends with its driver.

    It goes without the watcher process of each training, which frees the resources of a dead controller. Ray Train is
    imported here, so that processes which read and write alone start without it.
    """
    from ray.train.torch import TorchTrainer
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

    class OwnClusterTrainer(TorchTrainer):
        def _create_default_callbacks(self) -> list["RayTrainCallback"]:
            return [
                callback
                for callback in super()._create_default_callbacks()
                if not isinstance(callback, PlacementGroupCleanerCallback)
            ]

    return OwnClusterTrainer


@contextmanager
def patient_start(seconds: float) -> Iterator[None]:
    """Within the block `ray.init` gives the cluster that it starts so long to start, and goes without a dashboard.

    Ray waits 30 seconds for the node, and the node 15 seconds for its dashboard's agent. Both take longer on a machine
    with more work than cores. Here the node is waited for, and the agent is the small one of a Ray that was installed
    without the dashboard.
    """
    look_once, dashboard_error = services.get_node, utils.get_dashboard_dependency_error

    def look(gcs_address: str, node_id: str) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while True:
            try:
                return look_once(gcs_address, node_id)
            except RuntimeError:  # it is not there yet
                if time.monotonic() > end:
                    raise
                time.sleep(POLL_SECONDS)

    services.get_node, utils.get_dashboard_dependency_error = look, _no_dashboard
    try:
        yield
    finally:
        services.get_node, utils.get_dashboard_dependency_error = look_once, dashboard_error


def _no_dashboard() -> ImportError:
    return ImportError("a private cluster has no dashboard")
