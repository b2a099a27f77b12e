"""Folders that several tests of curation read."""

from pathlib import Path

import pytest

from tests.support.folders import save_blip, save_clip, save_entity, save_videos


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def blip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_blip(tmp_path_factory.mktemp("blip"))


@pytest.fixture(scope="session")
def entity_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_entity(tmp_path_factory.mktemp("entities"))
