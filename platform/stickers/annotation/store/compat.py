"""The one private interface of Alembic that this program uses.

Alembic's public commands read a configuration file and open a connection of their own. The vote store migrates inside a
transaction that it has already begun, so it asks the script directory for the steps as Alembic's `upgrade` command
does. `tests/annotation/store/test_compat.py` names the version for which this was checked, and what to check in a
newer one.
"""

from typing import Any

from alembic.script import ScriptDirectory

#: the Alembic release whose `alembic.command.upgrade` was read
CHECKED_VERSION = "1.20"


def upgrade_steps(script: ScriptDirectory, revision: str) -> list[Any]:
    """The migration steps from `revision` to the newest one.

    Raises:
        alembic.util.CommandError: the revision is unknown.
    """
    return script._upgrade_revs("head", revision)
