"""Host the student on this machine: `python experiments/host.py [--model FOLDER]`.

(Named so because Python puts a script's own folder first on the path, and `serve.py` there would hide the package.)
"""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import mlflow
import tyro
from ray import serve
from rich.console import Console

from actors.cluster import connect
from serve.apps import serve_student
from stickers import store
from stickers.pipeline import CONFIG

CHAMPION = "models:/animated-stickers-student@champion"
console = Console()


def find_model(model: str, runs: str) -> str:
    """The exported folder behind a folder's path or an MLflow name such as models:/name@alias.

    ValueError when there is none.
    """
    if not model.startswith("models:/"):
        folder = Path(model).expanduser().resolve()
        if not (folder / CONFIG).exists():
            raise ValueError(
                f"{folder} is no exported model: {CONFIG} is missing (experiments/export.py writes one)"
            )
        return str(folder)
    tracking = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{store.join(runs, 'mlflow.db')}"
    if tracking.startswith("sqlite:///") and not Path(tracking.removeprefix("sqlite:///")).exists():
        raise ValueError(
            f"nothing is registered in {runs} yet; run 'make quickstart' first, or give --model a folder"
        )
    mlflow.set_tracking_uri(tracking)
    try:
        downloaded = Path(mlflow.artifacts.download_artifacts(artifact_uri=model))
    except mlflow.exceptions.MlflowException as error:
        raise ValueError(f"{model} is not registered in {tracking} ({str(error).splitlines()[0]})") from error
    found = sorted(downloaded.rglob(CONFIG))
    if not found:
        raise ValueError(f"{model} is registered, but holds no exported model ({CONFIG} is missing)")
    return str(found[0].parent)


def main(
    runs: Annotated[str, tyro.conf.arg(help="where results are: a folder or URI")] = os.environ.get(
        "STICKERS_RUNS", "runs"
    ),
    model: str = CHAMPION,
    port: int = 8000,
    device: str = "cpu",
) -> None:
    """Serve a student over HTTP on the loopback interface until interrupted.

    Args:
        model: a registered model's name, or an exported folder.
        port: where to listen.
        device: cpu or cuda.
    """
    folder = find_model(model, store.resolve_runs(runs))
    signal.signal(signal.SIGTERM, _stop)
    with connect():
        try:
            address = serve_student(folder, port=port, device=device)
            console.print(f"[bold]{address}[/]  the page; {address}/docs says how programs ask; Ctrl-C stops")
            signal.pause()
        except KeyboardInterrupt:
            console.print("stopping")
        finally:
            serve.shutdown()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
