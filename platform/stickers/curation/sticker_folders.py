"""From the pictures of emoji packages to folders that a project reads: animations, stills, a split, one table of all.

A folder holds one part of the split, so that nothing held out is trained on by mistake. Skin tones lie apart: a
project that takes them all sees some subjects six times and others once.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from hashlib import blake2b
from importlib import resources
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from stickers import storage
from stickers.curation.clusters import THUMBNAIL_SIDE, clusters_of, part_of, thumbnail
from stickers.curation.emoji_names import DEFAULT_TONE, FLAGS, SYMBOLS, Emoji, EmojiNames, slug_of
from stickers.curation.npm_packages import Member
from stickers.errors import UserError
from stickers.video.headers import webp_durations
from stickers.video.reading import probe
from stickers.video.source import Source, UnreadableVideoError

PICTURE_SUFFIXES = (".webp", ".png")
ANIMATIONS, STILLS, SIGNS, STILLS_OF_ANIMATIONS = KINDS = (
    "animations",
    "stills",
    "signs",
    "stills-of-animations",
)
SKIN_TONES_FOLDER = "skin-tones"
CAPTIONS_TABLE, PROMPTS_TABLE = "captions.csv", "prompts.csv"
LICENSES_FOLDER = "licenses"
STICKERS_TABLE, UNUSED_TABLE = "stickers.csv", "unused.csv"
TEXTS = {"sticker_folders.md": "README.md", "mit_license.txt": f"{LICENSES_FOLDER}/MIT.txt"}
#: beside each table of stickers; `experiments/new.py` carries it into a project
LICENCE_FILE = "LICENCE"
UNREADABLE = "it is no readable picture"
REPEATED = "the same picture is taken from elsewhere"
SAME_NAME = "another picture of the same name is taken"
NO_PICTURE = "it is no WebP or PNG picture"
DIGEST_BYTES = 13


@dataclass(frozen=True)
class Picture:
    """A file of a package.

    Attributes:
        fps: frames a second, 0 for a still.
        thumbnail: of the first frame, for `clusters`; empty where the picture cannot be read.
        reason: why it cannot be read, else empty.
    """

    package: str
    path: str
    num_bytes: int
    digest: str
    num_frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    thumbnail: bytes = b""
    reason: str = ""

    @property
    def stem(self) -> str:
        """The file name without its suffix."""
        return PurePosixPath(self.path).stem

    @property
    def is_animated(self) -> bool:
        """Whether the picture has more than one frame."""
        return self.num_frames > 1


PICTURES = pa.schema(
    [
        ("package", pa.string()),
        ("path", pa.string()),
        ("num_bytes", pa.int64()),
        ("digest", pa.string()),
        ("num_frames", pa.int64()),
        ("fps", pa.float64()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("thumbnail", pa.binary()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class NamedPicture:
    """A picture with its name, where it goes (relative to the folder of all) and its part of the split."""

    picture: Picture
    emoji: Emoji
    kind: str
    part: str
    cluster: str

    @property
    def folder(self) -> str:
        """Its folder: kind and part, within a folder of their own for skin tones other than the default."""
        tones = "" if self.emoji.skin_tone == DEFAULT_TONE else f"{SKIN_TONES_FOLDER}/"
        return f"{tones}{self.kind}/{self.part}"

    @property
    def file(self) -> str:
        """Its path: the name to read, the code points to tell one file from another."""
        path = PurePosixPath(self.picture.path)
        return f"{self.folder}/{slug_of(self.emoji.name)}_{path.name}"


@dataclass(frozen=True)
class Unused:
    """A file of a package that becomes no sticker: one of a few reasons, and what belongs to this file alone."""

    package: str
    path: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Arrangement:
    """The named pictures of a set of packages, and the unused files."""

    stickers: list[NamedPicture]
    unused: list[Unused]

    @property
    def split_digest(self) -> str:
        """Digest of which subject lies in which part."""
        return _digest_of({(sticker.emoji.subject, sticker.part) for sticker in self.stickers})

    @property
    def layout_digest(self) -> str:
        """Digest of the files' paths."""
        return _digest_of({sticker.file for sticker in self.stickers})


def _digest_of(items: Iterable[object]) -> str:
    return blake2b(repr(sorted(map(repr, items))).encode(), digest_size=DIGEST_BYTES).hexdigest()


def look_at(package: str, member: Member) -> Picture:
    """What a picture file holds, or the reason why it cannot be read."""
    digest = blake2b(member.data, digest_size=DIGEST_BYTES).hexdigest()
    picture = Picture(package, member.path, len(member.data), digest)
    try:
        num_frames, fps = _frames_of(member)
        with Image.open(io.BytesIO(member.data)) as image:
            width, height = image.size
            small = thumbnail(image).tobytes()
    except (UnidentifiedImageError, UnreadableVideoError, OSError, SyntaxError) as error:
        return Picture(**asdict(picture) | {"reason": str(error)})
    return Picture(
        package, member.path, picture.num_bytes, digest, num_frames, fps, width, height, thumbnail=small
    )


def _frames_of(member: Member) -> tuple[int, float]:
    """Number of frames and their average rate; (1, 0) for a still."""
    if member.path.lower().endswith(".webp"):
        durations = webp_durations(member.path, member.data)
        milliseconds = sum(durations)
        return max(1, len(durations)), 1000 * len(durations) / milliseconds if milliseconds else 0.0
    with Image.open(io.BytesIO(member.data)) as image:
        if getattr(image, "n_frames", 1) == 1:
            return 1, 0.0
    info = probe(Source(member.path, member.data))
    return info.num_frames, info.fps


def is_picture(member: Member) -> bool:
    """Whether the member's suffix is that of a picture."""
    return member.path.lower().endswith(PICTURE_SUFFIXES)


def pictures_table(pictures: Iterable[Picture]) -> pa.Table:
    """The pictures as a table with the schema `PICTURES`."""
    return pa.Table.from_pylist([asdict(picture) for picture in pictures], schema=PICTURES)


def pictures_of(table: pa.Table) -> list[Picture]:
    """The pictures of a table that `pictures_table` made."""
    return [Picture(**row) for row in table.to_pylist()]


def arrange(pictures: Sequence[Picture], names: EmojiNames, seed: int) -> Arrangement:
    """Give every picture its name, kind, cluster and part; what becomes no sticker has its reason.

    Of pictures with equal bytes the first is taken, so packages of stills come first.
    """
    identified: list[tuple[Picture, Emoji]] = []
    unused: list[Unused] = []
    by_digest: dict[str, Picture] = {}
    for picture in pictures:
        first = by_digest.setdefault(picture.digest, picture)
        if picture.reason:
            unused.append(Unused(picture.package, picture.path, UNREADABLE, picture.reason))
        elif first is not picture:
            unused.append(Unused(picture.package, picture.path, REPEATED, f"{first.package}: {first.path}"))
        else:
            try:
                identified.append((picture, names.identify(picture.stem)))
            except UserError as error:
                unused.append(Unused(picture.package, picture.path, str(error)))
    clusters = _clusters_by_subject(identified)
    animated = {emoji.subject for picture, emoji in identified if picture.is_animated}
    by_file: dict[str, NamedPicture] = {}
    for picture, emoji in identified:
        cluster = clusters[emoji.subject]
        sticker = NamedPicture(
            picture, emoji, _kind_of(picture, emoji, animated), part_of(cluster, seed), cluster
        )
        if by_file.setdefault(sticker.file, sticker) is not sticker:
            unused.append(
                Unused(picture.package, picture.path, SAME_NAME, by_file[sticker.file].picture.package)
            )
    return Arrangement(list(by_file.values()), unused)


def _kind_of(picture: Picture, emoji: Emoji, animated: set[str]) -> str:
    if picture.is_animated:
        return ANIMATIONS
    if emoji.subject in animated:
        return STILLS_OF_ANIMATIONS
    return SIGNS if emoji.group in (FLAGS, SYMBOLS) else STILLS


def _clusters_by_subject(identified: Sequence[tuple[Picture, Emoji]]) -> dict[str, str]:
    """The cluster of each subject, called after its smallest subject. Its pictures in the default tone are compared,
    or those that there are where it has none."""
    by_subject: dict[str, list[tuple[Picture, Emoji]]] = defaultdict(list)
    for picture, emoji in identified:
        by_subject[emoji.subject].append((picture, emoji))
    compared = [pair for subject in sorted(by_subject) for pair in _default_tone(by_subject[subject])]
    if not compared:
        return {}
    thumbnails = np.stack([_pixels(picture) for picture, _ in compared])
    subjects = [emoji.subject for _, emoji in compared]
    numbers = clusters_of(thumbnails, [emoji.family for _, emoji in compared])
    smallest: dict[int, str] = {}
    for number, subject in zip(numbers, subjects, strict=True):
        smallest.setdefault(number, subject)
    return {subject: smallest[number] for subject, number in zip(subjects, numbers, strict=True)}


def _default_tone(pairs: list[tuple[Picture, Emoji]]) -> list[tuple[Picture, Emoji]]:
    return [pair for pair in pairs if pair[1].skin_tone == DEFAULT_TONE] or pairs


def _pixels(picture: Picture) -> np.ndarray:
    return np.frombuffer(picture.thumbnail, np.uint8).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE, 4)


def write_tables(folder: Path, arrangement: Arrangement, licenses: Mapping[str, str]) -> None:
    """Write the tables: one in each folder of files, and two of everything.

    Args:
        licenses: by package.
    """
    by_folder: dict[str, list[NamedPicture]] = defaultdict(list)
    for sticker in arrangement.stickers:
        by_folder[sticker.folder].append(sticker)
    for name, stickers in sorted(by_folder.items()):
        captioned = [(PurePosixPath(sticker.file).name, sticker.emoji.caption) for sticker in stickers]
        if stickers[0].kind == ANIMATIONS:
            _write_csv(folder / name / CAPTIONS_TABLE, ("file", "caption"), captioned)
        else:
            rows = [(caption, file) for file, caption in captioned]
            _write_csv(folder / name / PROMPTS_TABLE, ("prompt", "picture"), rows)
    _write_csv(
        folder / UNUSED_TABLE,
        ("package", "file", "reason", "detail"),
        [astuple(unused) for unused in arrangement.unused],
    )
    facts = [row_of(sticker, licenses[sticker.picture.package]) for sticker in arrangement.stickers]
    columns = tuple(facts[0]) if facts else ()
    _write_csv(folder / STICKERS_TABLE, columns, [tuple(row.values()) for row in facts])


def write_texts(folder: Path) -> None:
    """Say beside the pinned packages' stickers what is where, and under which licence."""
    for source, target in TEXTS.items():
        storage.write_bytes(str(folder / target), resources.files(__package__).joinpath(source).read_bytes())
    licence = (folder / TEXTS["mit_license.txt"]).read_bytes()
    for table in (CAPTIONS_TABLE, PROMPTS_TABLE):
        for path in folder.rglob(table):
            storage.write_bytes(str(path.with_name(LICENCE_FILE)), licence)


def row_of(sticker: NamedPicture, license_name: str) -> dict[str, object]:
    """What `stickers.csv` says of a sticker."""
    picture, emoji = sticker.picture, sticker.emoji
    return {
        "file": sticker.file,
        "kind": sticker.kind,
        "name": emoji.name,
        "caption": emoji.caption,
        "codes": emoji.codes,
        "subject": emoji.subject,
        "skin_tone": emoji.skin_tone,
        "group": emoji.group,
        "family": emoji.family,
        "animated": picture.is_animated,
        "num_frames": picture.num_frames,
        "fps": round(picture.fps, 3),
        "width": picture.width,
        "height": picture.height,
        "split": sticker.part,
        "cluster": sticker.cluster,
        "license": license_name,
        "package": picture.package,
    }


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    storage.write_bytes(str(path), buffer.getvalue().encode())
