"""The private interfaces of Ray that this program uses.

Ray Data has no public way to hold an operator back, or to learn how many rows a running task was given. Ray Train has
none to leave out one of its callbacks. `tests/actors/test_ray_compat.py` names the version for which this was checked,
and what to check in a newer one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import ray
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
    "rows_done",
    "rows_taken",
    "trainer_without_watcher",
]

if TYPE_CHECKING:
    from ray.train.torch import TorchTrainer
    from ray.train.v2._internal.execution.callback import RayTrainCallback

#: the Ray release whose sources were read
CHECKED_VERSION = "2.60"


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
