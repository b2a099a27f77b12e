"""Host the student on this machine: `python experiments/host.py [--model FOLDER]`.

(Named so because Python puts a script's own folder first on the path, and `serve.py` there would hide the package.)
"""

import logging
import signal
from types import FrameType

from ray import serve

from actors.cluster import connect
from actors.screen import console
from actors.tracking import CHAMPION, STUDENT
from experiments.cli.options import RUNS, Runs, run_script
from serve.apps import find_model, serve_student
from serve.standalone import check_port
from stickers import storage


def main(
    runs: Runs = RUNS,
    model: str = f"models:/{STUDENT}@{CHAMPION}",
    port: int = 8000,
    device: str = "cpu",
) -> None:
    """Serve a student over HTTP on the loopback interface until interrupted.

    Args:
        model: a registered model's name, or an exported folder or its URI.
        port: where to listen.
        device: cpu or cuda.
    """
    folder = find_model(model, storage.resolve_runs(runs))
    check_port(port)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    with connect():
        # Only now: Ray sets a handler of its own when it starts, and that one ends in an abort.
        signal.signal(signal.SIGTERM, _stop)
        try:
            address = serve_student(folder, port=port, device=device)
            console.print(
                f"[bold]{address}[/] is the page, {address}/docs says how programs ask; Ctrl-C stops",
                soft_wrap=True,
            )
            signal.pause()
        except KeyboardInterrupt:
            console.print("stopping")
            serve.delete("student")  # not all of Serve: on a shared cluster others have applications too


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    run_script(main)
