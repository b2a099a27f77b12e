"""Both databases in which votes live."""

from pathlib import Path

import pytest

from tests.support.postgres import empty_database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/votes.db"
    return empty_database(request.getfixturevalue("postgres_url"))
