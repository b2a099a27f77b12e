"""Each test of reading and writing runs in a local folder, in memory by fsspec, and in a bucket of an S3 server."""

from pathlib import Path
from uuid import uuid4

import pytest


@pytest.fixture(params=["local", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The place of an empty folder whose name has a space."""
    monkeypatch.setenv("STICKERS_CACHE", str(tmp_path / "cache"))
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/with space/runs"
    return str(tmp_path / "with space") if request.param == "local" else f"fsspec+memory://{uuid4().hex}/runs"
