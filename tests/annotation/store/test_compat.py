"""Alembic's private interface is used as its own upgrade command uses it."""

import inspect

import alembic
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from stickers.annotation.store.compat import CHECKED_VERSION, upgrade_steps
from stickers.annotation.store.database import MIGRATIONS


@pytest.fixture
def script() -> ScriptDirectory:
    """The migrations of the vote store."""
    config = Config()
    config.set_main_option("script_location", MIGRATIONS.as_posix())
    return ScriptDirectory.from_config(config)


def test_alembic_is_the_version_that_was_checked() -> None:
    """In a newer version, read `alembic.command.upgrade`. It must still pass `ScriptDirectory._upgrade_revs(target,
    revision)` to an `EnvironmentContext` as `fn`; then change CHECKED_VERSION. The tests below must hold as well."""
    assert alembic.__version__.startswith(f"{CHECKED_VERSION}."), "read the docstring of this test"
    assert "script._upgrade_revs(revision, rev)" in inspect.getsource(command.upgrade)
    assert list(inspect.signature(ScriptDirectory._upgrade_revs).parameters)[1:] == [
        "destination",
        "current_rev",
    ]


def test_steps_lead_from_a_revision_to_the_newest(script: ScriptDirectory) -> None:
    assert len(upgrade_steps(script, "0001")) == 1
    assert upgrade_steps(script, "0002") == []
    with pytest.raises(CommandError):
        upgrade_steps(script, "9999")
