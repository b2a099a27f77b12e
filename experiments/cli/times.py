"""How long a project's stages took, in `<runs>/times.json`: the quickstart writes it, the report shows it."""

import json

from stickers import storage

NAME = "times.json"


def remember(runs: str, project: str, stage: str, seconds: float) -> None:
    """Add seconds to a stage's time; failed runs count as well."""
    spent = _read(runs)
    stages = spent.setdefault(project, {})
    stages[stage] = round(stages.get(stage, 0.0) + seconds, 1)
    storage.write_bytes(storage.join(runs, NAME), json.dumps(spent, indent=2).encode())


def recall(runs: str, project: str) -> dict[str, float]:
    """Seconds by stage, in the order in which stages first ran."""
    return _read(runs).get(project, {})


def _read(runs: str) -> dict[str, dict[str, float]]:
    uri = storage.join(runs, NAME)
    return storage.read_json(uri) if storage.exists(uri) else {}
