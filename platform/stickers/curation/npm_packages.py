"""Packages from the npm registry, through the npm client: fetched whole, checked against a pinned digest, read safely.

npm brings mirrors, proxies and credentials that a user has set up. A tarball is read member by member and never
unpacked by the names in it.
"""

import base64
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stickers.errors import UserError

#: The largest picture of the pinned packages has 0.9 MB, the largest package 3,391 members and 200 MB.
MAX_MEMBER_BYTES, MAX_MEMBERS, MAX_PACKAGE_BYTES = 32 << 20, 20_000, 2 << 30
POLL_SECONDS = 0.25
NO_NPM = (
    "npm is not installed, and it fetches the packages; install Node.js with npm (apt-get install npm, brew install "
    "node, or conda install nodejs), or give the packages' tarballs with --packages"
)
MANIFEST = "package.json"


@dataclass(frozen=True)
class NpmPackage:
    """A package of one version.

    Attributes:
        integrity: `sha512-` and the base64 digest of its tarball, as the registry states it.
        num_bytes: size of the tarball.
    """

    name: str
    version: str
    integrity: str
    num_bytes: int

    @property
    def spec(self) -> str:
        """What npm calls it."""
        return f"{self.name}@{self.version}"

    @property
    def slug(self) -> str:
        """A file's name for it."""
        return re.sub("[^A-Za-z0-9.-]+", "-", f"{self.name.lstrip('@')}-{self.version}")


@dataclass(frozen=True)
class Member:
    """A file of a package: its path below the package's folder, and its bytes."""

    path: str
    data: bytes


def fetch(package: NpmPackage, target: Path, progress: Callable[[int], object]) -> None:
    """Fetch a package's tarball to `target`, whole or not at all.

    Args:
        progress: is called with how many more bytes have arrived, while they arrive.

    Raises:
        UserError: npm is missing or fails, or the tarball is not the pinned one.
        OSError: the disk is full.
    """
    if shutil.which("npm") is None:
        raise UserError(NO_NPM)
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=target.parent) as folder:
        tarball = _pack(package, Path(folder), progress)
        check_integrity(package, tarball)
        tarball.replace(target)


def _pack(package: NpmPackage, folder: Path, progress: Callable[[int], object]) -> Path:
    """Run `npm pack` in a folder of its own, which holds npm's cache too: it is large, and of no further use."""
    command = ["npm", "pack", package.spec, "--json", "--ignore-scripts", "--cache", str(folder / "cache")]
    arrived = 0
    with (folder / "answer").open("w+b") as answer:
        with subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=answer, stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None:
                _wait(process)
                size = min(package.num_bytes, _size_below(folder))
                progress(max(0, size - arrived))
                arrived = max(arrived, size)
        answer.seek(0)
        reply = answer.read()
    tarballs = list(folder.glob("*.tgz"))
    if process.returncode or len(tarballs) != 1:
        raise npm_error(package, reply, folder)
    progress(package.num_bytes - arrived)
    return tarballs[0]


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return


def _size_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).stat().st_size
            except FileNotFoundError:  # npm renames while we look
                continue
    return total


def npm_error(package: NpmPackage, reply: bytes, folder: Path) -> Exception:
    """The exception for what `npm pack --json` answers when it fails: the disk's where it is full, else the user's."""
    try:
        error = json.loads(reply)["error"]
        code, summary = str(error["code"]), str(error["summary"]).splitlines()[0]
    except (ValueError, LookupError, TypeError):
        code, summary = "", "npm gives no reason"
    if code in errno.errorcode.values() and getattr(errno, code) in (errno.ENOSPC, errno.EDQUOT):
        return OSError(getattr(errno, code), os.strerror(getattr(errno, code)), str(folder.parent))
    return UserError(f"npm cannot fetch {package.spec}: {summary}; the same command goes on from here")


def check_integrity(package: NpmPackage, tarball: Path) -> None:
    """UserError when a tarball is not the one that was pinned."""
    actual = integrity_of(tarball)
    if actual != package.integrity:
        raise UserError(
            f"the tarball of {package.spec} is not the one that this version of the program knows: its digest is "
            f"{actual}, expected {package.integrity}"
        )


def integrity_of(tarball: Path) -> str:
    """Digest of a file as npm writes it: `sha512-` and base64."""
    with tarball.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return "sha512-" + base64.b64encode(digest).decode()


def describe(tarball: Path) -> NpmPackage:
    """What a tarball says it is, with its real digest.

    Raises:
        UserError: there is no such file, or it is no npm package.
    """
    if not tarball.is_file():
        raise UserError(f"there is no tarball {tarball}; accepted: .tgz files as `npm pack` makes them")
    manifest = next((member.data for member in read_members(tarball) if member.path == MANIFEST), b"")
    try:
        fields = json.loads(manifest)
        name, version = str(fields["name"]), str(fields["version"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise UserError(f"{tarball} is no npm package: it has no {MANIFEST} with name and version") from None
    return NpmPackage(name, version, integrity_of(tarball), tarball.stat().st_size)


def read_members(tarball: Path, progress: Callable[[int], object] = lambda _: None) -> Iterator[Member]:
    """The files of a package, one after the other.

    Args:
        progress: is called with how many more bytes of the tarball are read.

    Raises:
        UserError: it is no compressed tar file, is cut off, or holds what no package should: links, devices, paths
            that lead out of it, more or larger files than `MAX_MEMBERS`, `MAX_MEMBER_BYTES`, `MAX_PACKAGE_BYTES`.
    """
    total = position = 0
    try:
        with tarball.open("rb") as file, tarfile.open(fileobj=file, mode="r:gz") as archive:
            for number, member in enumerate(archive):
                if member.isdir():
                    continue
                total += member.size
                _refuse_unsafe(tarball, member, number, total)
                content = archive.extractfile(member)
                data = content.read() if content else b""
                if len(data) != member.size:
                    raise UserError(f"{tarball} is cut off in {member.name}")
                yield Member(member.name.partition("/")[2], data)
                progress(file.tell() - position)
                position = file.tell()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise UserError(f"{tarball} is no whole .tgz file: {error}") from error


def _refuse_unsafe(tarball: Path, member: tarfile.TarInfo, number: int, total: int) -> None:
    parts = member.name.split("/")
    if not member.isfile():
        raise UserError(
            f"{tarball} holds {member.name}, which is a link or a device; only files are accepted"
        )
    if len(parts) < 2 or ".." in parts or "" in parts:
        raise UserError(f"{tarball} holds {member.name!r}, a path that leads out of the package")
    if member.size > MAX_MEMBER_BYTES or total > MAX_PACKAGE_BYTES or number >= MAX_MEMBERS:
        raise UserError(
            f"{tarball} is too large at {member.name}: accepted are {MAX_MEMBERS:,} files of "
            f"{MAX_MEMBER_BYTES >> 20} MiB, {MAX_PACKAGE_BYTES >> 30} GiB together"
        )
