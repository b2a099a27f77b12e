"""Actors take a process for themselves; called directly they must leave the tests' own as it was."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """Actors set how many threads PyTorch takes."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
