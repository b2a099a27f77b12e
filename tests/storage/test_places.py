"""Places joined, resolved and located, as paths and as URIs."""

import pytest

from stickers.storage.places import below, join, locate, one_line


def test_parts_are_joined_with_single_slashes() -> None:
    assert join("/runs/", "a/", "/b") == "/runs/a/b"
    assert join("s3://bucket/runs", "a", "b.json") == "s3://bucket/runs/a/b.json"


@pytest.mark.parametrize(
    ("folder", "relative", "expected"),
    [
        ("/runs/latents/x", "../../cache/y.st", "/runs/cache/y.st"),
        ("s3://bucket/runs/latents/x", "../../cache/y.st", "s3://bucket/runs/cache/y.st"),
        (".", "a/b", "a/b"),
    ],
)
def test_relative_paths_are_resolved_from_a_folder(folder: str, relative: str, expected: str) -> None:
    assert below(folder, relative) == expected


def test_a_place_has_a_file_system_and_a_path() -> None:
    local, path = locate("/runs/a")
    assert (local.type_name, path) == ("local", "/runs/a")
    memory, path = locate("fsspec+memory://bucket/a")
    assert memory.type_name.startswith("py::fsspec") and path.endswith("bucket/a")


def test_an_error_becomes_one_line() -> None:
    assert one_line(OSError("first\nsecond")) == "first" and one_line(OSError()) == "OSError"
