"""Packages from npm: fetched through the real client, checked, and read without trusting what is in them."""

import errno
import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from stickers.curation import npm_packages
from stickers.curation.npm_packages import (
    NpmPackage,
    check_integrity,
    describe,
    fetch,
    integrity_of,
    npm_error,
    read_members,
)
from stickers.errors import UserError
from tests.support.npm import needs_npm, pack

NOBODY_LISTENS = "http://127.0.0.1:9"


@needs_npm
def test_a_packed_folder_is_described_and_read(tmp_path: Path) -> None:
    files = {"assets/1f44b.webp": b"picture", "README.md": bytes(100_000)}
    tarball = pack(tmp_path, "@team/stickers", files)
    package = describe(tarball)
    assert (package.spec, package.slug) == ("@team/stickers@0.0.1", "team-stickers-0.0.1")
    assert package.integrity.startswith("sha512-") and package.num_bytes == tarball.stat().st_size
    assert NpmPackage("../../etc", "1/../2", "", 0).slug == "..-..-etc-1-..-2"
    arrived: list[int] = []
    members = {member.path: member.data for member in read_members(tarball, arrived.append)}
    assert {path: members[path] for path in files} == files and set(members) == {*files, "package.json"}
    assert 0 < sum(arrived) <= package.num_bytes
    check_integrity(package, tarball)
    with tarball.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(UserError, match=r"of @team/stickers@0.0.1 is not the one .* expected sha512-"):
        check_integrity(package, tarball)


@needs_npm
def test_fetching_brings_the_pinned_tarball_or_nothing(tmp_path: Path) -> None:
    """npm packs a folder as it packs what it fetches, so the registry is the only part that is left out."""
    tarball = pack(tmp_path, "stickers", {"assets/1f44b.webp": os.urandom(200_000)})
    source = tmp_path / "source-stickers"
    package = LocalPackage(str(source), "0.0.1", integrity_of(tarball), tarball.stat().st_size)
    arrived: list[int] = []
    target = tmp_path / "there" / "stickers.tgz"
    target.parent.mkdir()
    fetch(package, target, arrived.append)
    assert integrity_of(target) == package.integrity and sum(arrived) == package.num_bytes
    assert [path.name for path in target.parent.iterdir()] == ["stickers.tgz"]

    target.unlink()
    changed = LocalPackage(package.name, package.version, "sha512-AAAA", package.num_bytes)
    with pytest.raises(UserError, match="is not the one that this version of the program knows"):
        fetch(changed, target, arrived.append)
    assert not list(target.parent.iterdir())


class LocalPackage(NpmPackage):
    """A package that npm finds in a folder of this machine."""

    @property
    def spec(self) -> str:
        return self.name


@needs_npm
def test_a_network_that_is_away_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", NOBODY_LISTENS)
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    package = NpmPackage("no-such-stickers", "1.0.0", "sha512-AAAA", 100)
    with pytest.raises(UserError) as error:
        fetch(package, tmp_path / "stickers.tgz", lambda num_bytes: None)
    sentence = str(error.value)
    assert sentence.startswith("npm cannot fetch no-such-stickers@1.0.0: ") and "\n" not in sentence
    assert "ECONNREFUSED" in sentence and not list(tmp_path.iterdir())


def test_without_npm_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    package = NpmPackage("stickers", "1.0.0", "sha512-AAAA", 100)
    with pytest.raises(UserError, match=r"^npm is not installed.*; install Node.js with npm"):
        fetch(package, tmp_path / "stickers.tgz", lambda num_bytes: None)


def test_a_full_disk_that_npm_reports_is_an_error_of_the_disk(tmp_path: Path) -> None:
    """What npm answers when its disk is full, word for word."""
    reply = (
        b'{"error": {"code": "ENOSPC", "summary": "ENOSPC: no space left on device, write", "detail": ""}}'
    )
    error = npm_error(NpmPackage("stickers", "1.0.0", "", 1), reply, tmp_path / "fetching")
    assert isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename == str(tmp_path)
    silent = npm_error(NpmPackage("stickers", "1.0.0", "", 1), b"", tmp_path / "fetching")
    assert isinstance(silent, UserError) and "npm gives no reason" in str(silent)


def tar_of(folder: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    path = folder / "strange.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def linked(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (linked("package/a.webp", tarfile.SYMTYPE), "which is a link or a device"),
        (linked("package/a.webp", tarfile.LNKTYPE), "which is a link or a device"),
        (linked("package/a.webp", tarfile.CHRTYPE), "which is a link or a device"),
        (tarfile.TarInfo("package/../../a.webp"), "a path that leads out"),
        (tarfile.TarInfo("/etc/a.webp"), "a path that leads out"),
        (tarfile.TarInfo("a.webp"), "a path that leads out"),
    ],
)
def test_links_and_paths_that_lead_out_are_refused(
    tmp_path: Path, member: tarfile.TarInfo, reason: str
) -> None:
    tarball = tar_of(tmp_path, (tarfile.TarInfo("package/good.webp"), b"good"), (member, b""))
    with pytest.raises(UserError, match=reason):
        list(read_members(tarball))


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [(tarfile.TarInfo(f"package/{number}.webp"), bytes(1000)) for number in range(4)]
    tarball = tar_of(tmp_path, *files)
    assert len(list(read_members(tarball))) == 4
    for limit, value in (("MAX_MEMBER_BYTES", 999), ("MAX_PACKAGE_BYTES", 3999), ("MAX_MEMBERS", 3)):
        with monkeypatch.context() as patched, pytest.raises(UserError, match="is too large at package/"):
            patched.setattr(npm_packages, limit, value)
            list(read_members(tarball))


def test_what_is_no_complete_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no tarball .*absent.tgz; accepted: .tgz files"):
        describe(tmp_path / "absent.tgz")
    tarball = tar_of(tmp_path, (tarfile.TarInfo("package/a.webp"), os.urandom(50_000)))
    with pytest.raises(UserError, match=r"is no npm package: it has no package.json"):
        describe(tarball)
    data = tarball.read_bytes()
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 255
    wrong = [
        b"no archive",
        b"",
        gzip.compress(b"no tar file, but long enough" * 50),
        data[: len(data) // 2],
        bytes(damaged),
    ]
    for number, content in enumerate(wrong):
        path = tmp_path / f"wrong-{number}.tgz"
        path.write_bytes(content)
        with pytest.raises(
            UserError, match=rf"wrong-{number}.tgz is (no whole .tgz file|cut off|no npm package)"
        ):
            describe(path)
