"""MLflow: one parent run an ensemble, one child a training; the same metric names everywhere.

The store is made once, by the driver, and moved into place whole: several processes touching a fresh SQLite store
break it, and so does a kill in its middle. Runs are found again by their tags, so a repeated command makes no new ones.
"""

import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
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
    # it logs with a traceback what it also raises, and what is raised is said in a sentence
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
        """Find the experiment, or make store and experiment. Call it in the driver, before any worker logs."""
        uri = tracking_uri(runs)
        local = uri.removeprefix("sqlite:///") if uri.startswith("sqlite:///") else None
        if local and not Path(local).exists():
            _make_store(Path(local))
        client = connect_client(uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return cls(uri, client, found.experiment_id)
        # beside the store, not in the runs folder: a bucket would take a client that MLflow does not bring
        place = str(Path(local).parent / "mlflow-artifacts") if local else None
        return cls(uri, client, client.create_experiment(EXPERIMENT, artifact_location=place))

    def run(self, name: str, key: Mapping[str, str], *, tags: Mapping[str, str] | None = None) -> str:
        """The id of the run that carries all tags of `key`, made when there is none yet."""
        wanted = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in key.items())
        found = self.client.search_runs([self.experiment_id], wanted, max_results=1)
        if found:
            return str(found[0].info.run_id)
        made = self.client.create_run(self.experiment_id, run_name=name, tags={**key, **(tags or {})})
        return str(made.info.run_id)

    def parent(self, ensemble: str) -> str:
        """The run of a whole ensemble."""
        run_id = self.run(ensemble, {"role": "ensemble", "ensemble": ensemble})
        self.client.update_run(run_id, status="FINISHED")
        return run_id

    def child(self, parent: str, name: str, key: Mapping[str, str], **more: Any) -> str:
        """A training's run below `parent`; `more` is given to `describe`. Its status becomes RUNNING."""
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
        """Flat parameters, tags and data inputs (name to digest and URI); saying the same twice is harmless."""
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

    def register(self, folder: str, run_id: str, *, name: str = STUDENT, alias: str = CHAMPION) -> str:
        """Give an exported folder a version in the registry, and the alias; the version's number.

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
            each for each in self.client.search_model_versions(f"name = '{name}'") if each.source == folder
        ]
        version = (
            versions[0] if versions else self.client.create_model_version(name, source=folder, run_id=run_id)
        )
        self.client.set_registered_model_alias(name, alias, version.version)
        return str(version.version)


def resolve(model: str, runs: str) -> str:
    """The place of the folder behind `models:/<name>@<alias>` or `models:/<name>/<version>`.

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


class RunTracker:
    """The loop's `Tracker` in a worker: writes to a run that the driver made.

    Steps that are logged already, by an earlier life of a resumed training, are not logged twice.
    """

    def __init__(self, uri: str, run_id: str) -> None:
        self.client, self.run_id = connect_client(uri), run_id
        known = self.client.get_run(run_id).data.metrics
        self.last_steps = {
            name: max(each.step for each in self.client.get_metric_history(run_id, name)) for name in known
        }

    def log(self, metrics: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        whole = {**metrics, STEP: float(step)}
        new = {name: value for name, value in whole.items() if step > self.last_steps.get(name, 0)}
        if new:
            found = [Metric(name, value, now, step) for name, value in new.items()]
            self.client.log_batch(self.run_id, metrics=found)
            self.last_steps |= dict.fromkeys(new, step)

    def log_preview(self, name: str, data: bytes) -> None:
        """A file that the page shows, MP4, GIF or PNG; `name` may have folders."""
        inside, _, file = name.rpartition("/")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, file)
            path.write_bytes(data)
            self.client.log_artifact(self.run_id, str(path), f"previews/{inside}".rstrip("/"))


class SilentTracker:
    """For the workers that are not rank 0."""

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Nothing: rank 0 speaks for all."""


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A nested recipe as flat parameters: `stages.0.lr`. A list of pairs becomes one readable text."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple) and value and all(isinstance(each, Mapping) for each in value):
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
