"""MLflow: one parent run for an ensemble, one child run for a training, the same metric names everywhere.

The driver makes the store once and moves it into place as a unit: several processes that open a fresh SQLite store
break it, and so does a kill while it is made. Runs are found by their tags, so a repeated command makes no new ones.
"""

import json
import logging
import os
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from stickers import storage
from stickers.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "animated-stickers"
STUDENT = "animated-stickers-student"
CHAMPION = "champion"
STEP = "train/step"
#: the folder of a run's artifacts in which its previews lie
PREVIEWS = "previews"
#: of one search
MOST_RUNS = 10_000
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def tracking_uri(runs: str) -> str:
    """MLFLOW_TRACKING_URI where it is set, else the SQLite store in the runs folder.

    Raises:
        UserError: the runs folder is remote and no MLflow server is named.
    """
    named = os.environ.get("MLFLOW_TRACKING_URI")
    if named:
        return named
    if "://" in runs:
        raise UserError(
            f"the runs folder {runs} is not on this machine: set MLFLOW_TRACKING_URI to an MLflow server"
        )
    return f"sqlite:///{storage.join(runs, 'mlflow.db')}"


def connect_client(uri: str) -> "MlflowClient":
    """A client without telemetry, system metrics or chatter; nothing else of MLflow is used."""
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # it logs tracebacks of errors that it also raises, and those become sentences
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@dataclass(frozen=True)
class Tracking:
    """The experiment of a runs folder, as the driver sees it."""

    uri: str
    client: "MlflowClient"
    experiment_id: str

    @classmethod
    def open(cls, runs: str) -> "Tracking":
        """Find the experiment, or make store and experiment. Call it in the driver before any worker logs."""
        uri = tracking_uri(runs)
        local = uri.removeprefix("sqlite:///") if uri.startswith("sqlite:///") else None
        if local and not Path(local).exists():
            _make_store(Path(local))
        client = connect_client(uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is not None:
            return cls(uri, client, experiment.experiment_id)
        # beside the store, not in the runs folder: a bucket would need a client that MLflow does not bring
        artifacts_uri = str(Path(local).parent / "mlflow-artifacts") if local else None
        return cls(uri, client, client.create_experiment(EXPERIMENT, artifact_location=artifacts_uri))

    def run(self, name: str, key: Mapping[str, str], *, tags: Mapping[str, str] | None = None) -> str:
        """The id of the run that carries all tags of `key`; it is made where there is none."""
        query = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in key.items())
        runs = self.client.search_runs([self.experiment_id], query, max_results=1)
        if runs:
            return str(runs[0].info.run_id)
        run = self.client.create_run(self.experiment_id, run_name=name, tags={**key, **(tags or {})})
        return str(run.info.run_id)

    def parent(self, ensemble: str) -> str:
        """The run of a whole ensemble."""
        run_id = self.run(ensemble, {"role": "ensemble", "ensemble": ensemble})
        self.client.update_run(run_id, status="FINISHED")
        return run_id

    def child(self, parent: str, name: str, key: Mapping[str, str], **more: Any) -> str:
        """A training's run below `parent`; `more` goes to `describe`. Its status becomes RUNNING."""
        run_id = self.run(name, key, tags={"mlflow.parentRunId": parent})
        self.describe(run_id, **more)
        self.client.update_run(run_id, status="RUNNING")
        return run_id

    def describe(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        data: Mapping[str, tuple[str, str]],
    ) -> None:
        """Log flat parameters, tags and data inputs (name to digest and URI). Logging the same twice is harmless."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

        inputs = [
            DatasetInput(
                Dataset(name=name, digest=digest, source_type="local", source=json.dumps({"uri": uri})),
                [InputTag("mlflow.data.context", "training")],
            )
            for name, (digest, uri) in data.items()
        ]
        self.client.log_batch(
            run_id,
            params=[Param(name, str(value)) for name, value in flat(params)],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        self.client.log_inputs(run_id, datasets=inputs)

    def finish(self, run_id: str, *, failed: str | None = None) -> None:
        """Close a run; `failed` is the reason."""
        if failed:
            self.client.set_tag(run_id, "failure", failed)
        self.client.set_terminated(run_id, status="FAILED" if failed else "FINISHED")

    def latest(self, run_id: str) -> dict[str, float]:
        """The last value of every metric."""
        return dict(self.client.get_run(run_id).data.metrics)

    def tag(self, run_ids: Iterable[str], name: str, value: str) -> None:
        """Set a tag of runs; those that are not in this store are left out."""
        from mlflow.exceptions import MlflowException

        for run_id in run_ids:
            try:
                self.client.set_tag(run_id, name, value)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise

    def versions_in(self, folders: Collection[str]) -> list[tuple[str, str]]:
        """Name and number of the registered models whose folders are among some."""
        versions = self.client.search_model_versions(max_results=MOST_RUNS)
        return [(row.name, str(row.version)) for row in versions if row.source in folders]

    def tag_version(self, version: tuple[str, str], name: str, value: str) -> None:
        """Set a tag of a registered model, named by name and number."""
        self.client.set_model_version_tag(*version, name, value)

    def previewed(self, ensemble: str) -> list[str]:
        """The runs of an ensemble that have previews."""
        runs = self.client.search_runs(
            [self.experiment_id], f"tags.ensemble = '{ensemble}'", max_results=MOST_RUNS
        )
        names = [str(row.info.run_id) for row in runs]
        return [name for name in names if self.client.list_artifacts(name, PREVIEWS)]

    def remove_previews(self, run_id: str) -> None:
        """Delete the previews of a run."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        place = self.client.get_run(run_id).info.artifact_uri
        get_artifact_repository(place).delete_artifacts(PREVIEWS)

    def register(self, folder: str, run_id: str, *, name: str = STUDENT, alias: str = CHAMPION) -> str:
        """Give an exported folder a version in the registry, and the alias; returns the version's number.

        The same folder keeps its version.
        """
        from mlflow.exceptions import MlflowException

        try:
            self.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self.client.create_registered_model(name)
        versions = [
            version
            for version in self.client.search_model_versions(f"name = '{name}'")
            if version.source == folder
        ]
        version = (
            versions[0] if versions else self.client.create_model_version(name, source=folder, run_id=run_id)
        )
        self.client.set_registered_model_alias(name, alias, version.version)
        return str(version.version)


def resolve(model: str, runs: str) -> str:
    """The folder or URI behind `models:/<name>@<alias>` or `models:/<name>/<version>`.

    Raises:
        UserError: nothing of that name is registered.
    """
    from mlflow.exceptions import MlflowException

    uri = tracking_uri(runs)
    absent = f"{model} is not registered in {uri}; experiments/export.py registers a student"
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        raise UserError(absent)
    name, _, alias = model.removeprefix("models:/").partition("@")
    client = connect_client(uri)
    try:
        if alias:
            version = client.get_model_version_by_alias(name, alias)
        else:
            version = client.get_model_version(*name.split("/", 1))
    except (MlflowException, TypeError) as error:
        raise UserError(absent) from error
    return str(version.source)


def registered_folders(runs: str) -> set[str]:
    """The places of the folders behind all registered models of a runs folder.

    Raises:
        UserError: the runs folder is remote and no MLflow server is named.
    """
    uri = tracking_uri(runs)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return set()
    versions = connect_client(uri).search_model_versions(max_results=MOST_RUNS)
    return {str(version.source) for version in versions}


class RunTracker:
    """The training loop's `Tracker` in a worker; it writes to a run that the driver made.

    A resumed training does not log steps again that it logged before it was stopped.
    """

    def __init__(self, uri: str, run_id: str) -> None:
        self.client, self.run_id = connect_client(uri), run_id
        last_metrics = self.client.get_run(run_id).data.metrics
        self.last_steps = {
            name: max(metric.step for metric in self.client.get_metric_history(run_id, name))
            for name in last_metrics
        }

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Log the metrics of a step, except those that have this step already."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with_step = {**metrics, STEP: float(step)}
        new = {name: value for name, value in with_step.items() if step > self.last_steps.get(name, 0)}
        if new:
            metrics_ = [Metric(name, value, now, step) for name, value in new.items()]
            self.client.log_batch(self.run_id, metrics=metrics_)
            self.last_steps |= dict.fromkeys(new, step)

    def log_preview(self, name: str, data: bytes) -> None:
        """Log a file that MLflow's page shows (MP4, GIF or PNG); `name` may have folders."""
        inside, _, file = name.rpartition("/")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, file)
            path.write_bytes(data)
            self.client.log_artifact(self.run_id, str(path), f"{PREVIEWS}/{inside}".rstrip("/"))


class SilentTracker:
    """The tracker of workers that are not rank 0."""

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Log nothing: rank 0 logs for all."""


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A nested recipe as flat parameters: `stages.0.lr`. A list of pairs becomes one readable text."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple) and value and all(isinstance(entry, Mapping) for entry in value):
        for index, inner in enumerate(value):
            yield from flat(inner, f"{prefix}.{index}")
    elif isinstance(value, list | tuple):
        yield (
            prefix,
            ", ".join(" ".join(map(str, e)) if isinstance(e, list | tuple) else str(e) for e in value),
        )
    else:
        yield prefix, value


def _make_store(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f"{storage.TEMPORARY}{uuid4().hex}.db")
    connect_client(f"sqlite:///{making}").search_experiments(max_results=1)
    making.rename(path)
