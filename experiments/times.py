"""How long stages took, in `<runs>/times.json`: the quickstart writes it, the report shows it."""

import json

from stickers import store

NAME = "times.json"


def remember(runs: str, stage: str, seconds: float) -> None:
    """Add to the seconds that a stage has taken, over all its runs."""
    spent = recall(runs)
    spent[stage] = round(spent.get(stage, 0.0) + seconds, 1)
    store.write_bytes(store.join(runs, NAME), json.dumps(spent, indent=2).encode())


def recall(runs: str) -> dict[str, float]:
    """Seconds by stage, in the order in which stages first ran."""
    place = store.join(runs, NAME)
    return store.read_json(place) if store.exists(place) else {}
