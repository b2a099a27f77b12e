"""Which cluster a command runs on, and what it says that the cluster cannot run."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import ray

from actors.cluster import (
    check_memory,
    check_room,
    connect,
    is_private,
    missing_on_cluster,
    own_device,
    worker_memory,
    worker_resource,
)
from recipes.toy.projects import TINY
from stickers.errors import UserError
from stickers.training.job import TrainingJob

TEACHER = TINY.teachers[0]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with connect(num_cpus=4):
        yield


def test_outside_a_cluster_a_process_has_the_cpu_and_joins_none() -> None:
    assert not ray.is_initialized()
    assert own_device() == "cpu" and not ray.is_initialized()


def test_a_private_cluster_sees_what_this_machine_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert is_private() and missing_on_cluster(["/nowhere"]) == [] and not ray.is_initialized()


@pytest.mark.ray
def test_a_block_inside_another_has_its_cluster(cluster: None) -> None:
    with connect(num_cpus=64):
        assert ray.cluster_resources()["CPU"] == 4
    assert ray.is_initialized()


@pytest.mark.ray
def test_machines_are_asked_what_they_lack(
    cluster: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "shared")
    assert missing_on_cluster([str(tmp_path), "/b/nowhere", "/a/nowhere"]) == ["/a/nowhere", "/b/nowhere"]


@pytest.mark.ray
def test_what_never_fits_is_refused_before_it_starts(
    cluster: None, tiny_foundations: Path, prepared_runs: Path
) -> None:
    kind = worker_resource()
    if kind == "CPU":
        assert worker_memory() == ("cpu", psutil.virtual_memory().total)
        assert check_room([TEACHER]) == min(4, os.cpu_count() or 1)
    with pytest.raises(UserError, match=rf"needs 64 {kind}s, one a worker; the cluster has"):
        check_room([TEACHER, replace(TEACHER, num_workers=64, batch_size=64)])
    sets = {
        path.stem.replace("-", "@"): str(path) for path in (prepared_runs / "latents").rglob("*.safetensors")
    }
    jobs = [
        TrainingJob.of_recipe(recipe, foundations=str(tiny_foundations), sets=sets)
        for recipe in (TEACHER, replace(TEACHER, name="huge", batch_size=2_000_000))
    ]
    check_memory(jobs[:1], side_by_side=1)
    with pytest.raises(
        UserError, match=r"'huge' cannot fit: a worker needs [\d.]+ GiB and has .* lower batch_size"
    ):
        check_memory(jobs, side_by_side=1)
