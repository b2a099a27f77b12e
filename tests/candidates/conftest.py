"""A finished plan for the tests of what is read from one."""

from pathlib import Path

import pytest

from stickers.candidates import archive
from stickers.candidates.plan import Plan, make_plan
from tests.support.archives import PROMPTS, STICKERS, TEACHERS, write_finished


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, str]:
    """A plan of two teachers and twelve stickers, in parts of a few rows."""
    monkeypatch.setattr(archive, "PART_BYTES", 2_000)
    plan = make_plan(PROMPTS, STICKERS, TEACHERS)
    return plan, write_finished(tmp_path, plan)
