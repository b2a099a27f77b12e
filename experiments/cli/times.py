"""How long a project's stages took, in `<runs>/times.json`: the quickstart writes it, the report shows it."""

import json

from stickers import storage

NAME = "times.json"


def remember(runs: str, project: str, stage: str, seconds: float) -> None:
    """Add to the seconds that a stage has taken, over all its runs, those that failed included."""
    spent = _read(runs)
    mine = spent.setdefault(project, {})
    mine[stage] = round(mine.get(stage, 0.0) + seconds, 1)
    storage.write_bytes(storage.join(runs, NAME), json.dumps(spent, indent=2).encode())


def recall(runs: str, project: str) -> dict[str, float]:
    """Seconds by stage, in the order in which stages first ran."""
    return _read(runs).get(project, {})


def _read(runs: str) -> dict[str, dict[str, float]]:
    place = storage.join(runs, NAME)
    return storage.read_json(place) if storage.exists(place) else {}
