"""Videos to a manifest and frame latents: `python experiments/prepare.py --project FILE.py`.

Collections that a project draws itself are written as files first; then all are treated alike. A cache finds what an
earlier run has decoded and encoded by its content, under any name.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig
from rich.markup import escape
from rich.table import Table

from actors.blocks import DurableRows
from actors.cluster import connect
from actors.encoder import COLUMNS, ClipEncoder
from actors.screen import Bar, console, track, watching
from experiments.cli.options import RUNS, Runs, encoder_digests, latents_name, run_script
from experiments.cli.project_choice import ProjectName, absolute, check_cluster, choose_project
from experiments.cli.stages import Stages
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import CLIPS
from stickers.data.cache import ROWS, FrameCache, mark_duplicates, originals
from stickers.data.collections import CAPTIONS, Listed, list_collection
from stickers.data.sets import SetBuilder
from stickers.errors import UserError
from stickers.housekeeping.withdrawn import Withdrawn
from stickers.models.folders import load_autoencoder
from stickers.project import Collection, Project, VideoSource
from stickers.storage.outside import MEMBER

LISTED = pa.schema([(name, pa.string()) for name in COLUMNS])
CHUNK = 10
#: rows of a listing that are in memory at a time
PART = 20_000
#: how many reasons are printed; the manifest has all of them
SHOWN = 20
#: the stages of this command
DRAW, ENCODE, WRITE = "draw the videos", "decode and encode the files", "write the sets"
T = TypeVar("T")
Listing = Callable[[], Iterable[Listed]]


def drawn_collections(project: Project, root: Path) -> list[Listed]:
    """Write the videos that a project draws itself, in parallel; existing ones are left alone."""
    listed: list[Listed] = []
    write = ray.remote(num_cpus=1)(_draw_chunk)
    for collection in project.collections:
        source = collection.draw
        if source is None:
            continue
        folder = root / collection.name
        if not (folder / CAPTIONS).exists():
            folder.mkdir(parents=True, exist_ok=True)
            count = source.num_videos
            chunks = [list(range(i, min(i + CHUNK, count))) for i in range(0, count, CHUNK)]
            waiting = [write.remote(source, str(folder), chunk) for chunk in chunks]
            done = track(waiting, f"draw {collection.name}", unit="chunks")
            source.finish(str(folder), [row for chunk in done for row in ray.get(chunk)])
        listed += list_collection(str(folder), collection.name)
    return listed


def _draw_chunk(source: VideoSource, folder: str, indices: list[int]) -> list[dict[str, str]]:
    return source.write(folder, indices)


def with_own_videos(
    project: Project, videos: Path | None, sets: tuple[str, ...]
) -> tuple[Project, list[str]]:
    """The project with collections from the command line instead of its own.

    `videos` is one collection, or a folder whose subfolders bear the names of the project's collections, with captions
    in each one's own table or for all of them in one at the top. `sets` are further collections by name.

    Returns:
        The project, and the names of its collections for which the command line brings nothing: the best one that it
        brings stands for those.

    Raises:
        UserError: a set is not given as NAME=PATH.
    """
    collections: list[Collection] = []
    if videos:
        folder = videos.expanduser().resolve()
        names = [row.name for row in project.collections if (folder / row.name).is_dir()]
        captions = str(folder / CAPTIONS) if (folder / CAPTIONS).exists() else ""
        in_subfolders = [Collection(name=name, place=str(folder / name), captions=captions) for name in names]
        collections += in_subfolders or [Collection(name=project.collections[0].name, place=str(folder))]
    for text in sets:
        name, _, path = text.partition("=")
        if not (name and path):
            raise UserError(f"--sets takes NAME=PATH, got {text!r}")
        collections.append(Collection(name=name, place=absolute(path)))
    if not collections:
        return project, []
    names = [row.name for row in collections]
    absent = [row.name for row in project.collections if row.name not in names]
    stand_ins = [replace(collections[0], name=name) for name in absent]
    return replace(project, collections=(*collections, *stand_ins)), absent


def file_listing(project: Project, absent: Sequence[str], withdrawn: Withdrawn) -> Listing:
    """The files of a project's collections except for `absent` ones and withdrawn files; each call lists them anew."""

    def listing() -> Iterator[Listed]:
        for row in project.collections:
            if row.place and row.name not in absent:
                captions = Path(row.captions) if row.captions else None
                for video in list_collection(row.place, row.name, captions=captions):
                    if video.path not in withdrawn.uris:
                        yield video

    return listing


def fingerprint(listing: Listing) -> str:
    """A digest of paths, captions, sizes and times; it changes with the user's files, which are not read."""
    digest = blake2b(digest_size=13)
    for row in listing():
        path = Path(row.path.split(MEMBER, 1)[0])
        status = path.stat() if path.exists() else None
        stamp = (status.st_size, status.st_mtime_ns) if status else ()
        digest.update(repr((row.path, row.caption, row.source, *stamp)).encode())
    return digest.hexdigest()


def write_listing(listing: Iterable[Listed], folder: str) -> int:
    """Write the listing as a table in parts, so that only one part is in memory; returns the number of rows."""
    total = 0
    rows = (
        {"clip_id": content_id("file", row.source, row.path), **vars(row)}
        for row in track(listing, "list", unit="files")
    )
    for number, part in enumerate(in_parts(rows)):
        table = pa.Table.from_pylist(part, schema=LISTED)
        storage.write_table(storage.join(folder, f"part-{number:05d}.parquet"), table, LISTED)
        total += len(part)
    return total


def encode(listing: Iterable[Listed], folder: str, foundations: str, cache: FrameCache) -> None:
    """Encode every listed file into a row; a second call after a crash encodes the missing ones."""
    listed, rows = storage.join(folder, "listed"), storage.join(folder, "rows")
    for torn in storage.discard_torn(folder):
        console.print(f"[yellow]interrupted, made again: {escape(torn)}", highlight=False, soft_wrap=True)
    total = write_listing(listing, listed)
    # A crash loses one block at most; smaller blocks would mean many small files, which cost more.
    block = max(40, min(1000, total // 100))
    context = DataContext.get_current()
    context.checkpoint_config = CheckpointConfig(
        id_column="clip_id",
        checkpoint_path=storage.join(folder, "checkpoint"),
        delete_checkpoint_on_success=False,
    )
    gpus = int(ray.cluster_resources().get("GPU", 0))
    dataset = ray.data.read_parquet(listed).repartition(target_num_rows_per_block=block)
    encoded = dataset.map_batches(
        ClipEncoder,
        fn_constructor_args=(foundations, *astuple(cache)),
        batch_size=8,
        compute=ActorPoolStrategy(size=gpus or max(1, min(4, os.cpu_count() or 1))),
        num_cpus=1,
        num_gpus=1 if gpus else 0,
    )
    with watching(Bar("decode and encode", total, "files"), DurableRows(folder, "clip_id")):
        encoded.write_parquet(rows)


def rows_of(folder: str, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows that `encode` wrote, a file at a time."""
    for part in storage.listing(storage.join(folder, "rows"), recursive=True):
        if part.endswith(".parquet"):
            yield from storage.read_table(part, ROWS, columns=columns).to_pylist()


def in_parts(rows: Iterable[T]) -> Iterator[list[T]]:
    """`PART` rows at a time."""
    waiting = iter(rows)
    while part := list(islice(waiting, PART)):
        yield part


def write_sets(folder: str, cache: FrameCache, foundations: str, names: Sequence[str]) -> dict[str, Any]:
    """Write the manifest, and a set for each collection and size.

    Args:
        names: the project's collections, best first; the best that has a usable clip stands for those that have none.

    Returns:
        The record's counts: clips by set, files listed, refused and repeated, and which collection stands for which.
    """
    builders: dict[tuple[str, int], SetBuilder] = {}
    counts: Counter[str] = Counter()
    first_reason = ""
    rows = mark_duplicates(
        rows_of(folder), originals(rows_of(folder, ["clip_id", "source", "content", "status"]))
    )
    for number, part in enumerate(in_parts(rows)):
        for row in part:
            counts[row["status"]] += 1
            first_reason = first_reason or row["reason"]
            for size in cache.sizes if row["status"] == "ready" else ():
                key = row["source"], size
                builders.setdefault(key, SetBuilder(cache, size)).add(row)
        table = pa.Table.from_pylist(
            [{name: row[name] for name in CLIPS.names} for row in part], schema=CLIPS
        )
        storage.write_table(storage.join(folder, "clips", f"part-{number:05d}.parquet"), table, CLIPS)
    if not builders:
        raise UserError(f"none of the {counts.total()} files can be used; first reason: {first_reason}")
    usable = [name for name, _ in builders]
    best = next(name for name in names if name in usable)
    standing = {name: name if name in usable else best for name in names}
    autoencoder, clips = load_autoencoder(foundations), {}
    for name, source in standing.items():
        for size in cache.sizes:
            latents = builders[source, size].build(autoencoder)
            storage.write_bytes(storage.join(folder, f"{name}-{size}.safetensors"), latents.to_bytes(folder))
            clips[name] = len(latents)
    return {
        "clips": clips,
        "listed": counts.total(),
        "refused": counts["refused"],
        "duplicates": counts["duplicate"],
        "stand_ins": {name: source for name, source in standing.items() if name != source},
    }


def show(folder: str, record: dict[str, Any]) -> None:
    """Print the sets, and the first refusals with their reasons."""
    table = Table("collection", "clips", title="prepared")
    for name, count in record["clips"].items():
        table.add_row(name, str(count))
    console.print(table)
    for name, source in record["stand_ins"].items():
        console.print(f"[yellow]set {escape(name)} has no usable clip: {escape(source)} stands for it[/]")
    silent, num_printed = 0, 0
    for row in chain.from_iterable(
        storage.read_table(part).to_pylist() for part in storage.listing(storage.join(folder, "clips"))
    ):
        silent += row["status"] == "ready" and not row["caption"]
        if row["reason"] and num_printed < SHOWN:
            console.print(f"[yellow]{row['status']}[/] {row['reason']}", highlight=False, soft_wrap=True)
            num_printed += 1
    if silent:
        console.print(f"{silent} clips have no caption", highlight=False)
    if (num_unprinted := record["refused"] + record["duplicates"] - num_printed) > 0:
        console.print(
            f"{num_unprinted} more are refused or duplicates: {folder}/clips says why", highlight=False
        )


def main(
    runs: Runs = RUNS,
    project: ProjectName = None,
    videos: Path | None = None,
    sets: tuple[str, ...] = (),
    sizes: tuple[int, ...] = (),
    online: bool | None = None,
    foundations: str | None = None,
) -> None:
    """Make the manifest and the frame latents of a project's collections.

    Args:
        videos: other videos than the project's: a folder with a captions.csv (file, caption), a table (CSV, JSONL,
            Parquet) or a .tar of WebDataset.
        sets: further collections as NAME=PATH; recipes name them.
        sizes: pixels a side, one or several; by default those that the project's teachers ask for. Teachers with
            encoders of their own get latents by those.
        online: keep no frame latents: decode and encode in training, for collections too large to cache; by default as
            the project has it.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the project's.
    """
    runs = storage.resolve_runs(runs)
    chosen, absent = with_own_videos(choose_project(project, foundations), videos, sets)
    if online is not None:
        chosen = replace(chosen, online=online)
    check_drawn(chosen, runs)
    withdrawn = Withdrawn.of(runs)
    listing = file_listing(chosen, absent, withdrawn)
    state = [
        fingerprint(listing),
        [repr(row.draw) for row in chosen.collections if row.draw],
        [row.name for row in chosen.collections],
    ]
    preparations = [
        preparation(runs, chosen, state, encoders, sizes or of_teachers, withdrawn.contents)
        for encoders, of_teachers in encoder_groups(chosen).items()
    ]
    for work in preparations:
        if storage.exists(storage.join(work.target, storage.RECORD)):
            console.print(f"prepared already: {work.target}", soft_wrap=True)
        else:
            prepare(work, listing, drawings=Path(runs) / "collections" / preparations[0].key)
        storage.set_current(runs, "latents", work.name, work.key)


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What is made for the teachers of one autoencoder and text encoder: every set at every size."""

    project: Project
    #: under which it is current, and its folder
    name: str
    key: str
    target: str
    encoders: str
    cache: FrameCache


def encoder_groups(project: Project) -> dict[str, tuple[int, ...]]:
    """The folders of encoders that the project's teachers name, its own first, and the sizes that each is needed at.

    Folders of the same weights are one.
    """
    foundations = project.foundation.place
    groups: dict[str, set[int]] = {foundations: set()}
    folder_of_weights = {tuple(encoder_digests(foundations)): foundations}
    for recipe in project.teachers:
        folder = recipe.encoders or foundations
        first = folder_of_weights.setdefault(tuple(encoder_digests(folder)), folder)
        groups.setdefault(first, set()).update(stage.resolution for stage in recipe.stages)
    if not groups[foundations]:  # others than teachers read what the project's own encoders make
        groups[foundations] = set(project.teacher_sizes)
    return {folder: tuple(sorted(sizes)) for folder, sizes in groups.items()}


def preparation(
    runs: str,
    project: Project,
    state: Sequence[Any],
    encoders: str,
    sizes: Sequence[int],
    withdrawn: frozenset[str] = frozenset(),
) -> Preparation:
    """What is to be made by the encoders of a folder, of videos in that state but for files of `withdrawn` content."""
    num_pixels = tuple(sorted(set(sizes)))
    autoencoder, *text = encoder_digests(encoders)
    cache = FrameCache(
        runs=runs,
        autoencoder=autoencoder,
        text=content_id(*text),
        sizes=num_pixels,
        with_frames=not project.online,
        withdrawn=withdrawn,
    )
    gone = [sorted(withdrawn)] if withdrawn else []
    key = content_id("latents", state, list(num_pixels), project.online, autoencoder, *text, *gone)
    return Preparation(
        project=project,
        name=latents_name(project, encoders),
        key=key,
        target=storage.join(runs, "latents", key),
        encoders=encoders,
        cache=cache,
    )


def prepare(work: Preparation, listing: Listing, drawings: Path) -> None:
    """Make the manifest and the sets of a preparation.

    Args:
        drawings: where the videos lie that the project draws itself.
    """
    project, target = work.project, work.target
    is_drawn = any(row.draw for row in project.collections)
    stages = Stages(*([DRAW] if is_drawn else []), ENCODE, WRITE)
    check_cluster(project)
    with connect():
        drawn: list[Listed] = []
        if is_drawn:
            stages.begin(DRAW)
            drawn = drawn_collections(project, drawings)
        stages.begin(ENCODE)
        encode(chain(drawn, listing()), target, work.encoders, work.cache)
    stages.begin(WRITE)
    record = write_sets(target, work.cache, work.encoders, [row.name for row in project.collections])
    show(target, record)
    work.cache.remember(work.key, rows_of(target))
    facts = {
        "project": project.name,
        "sizes": list(work.cache.sizes),
        "online": project.online,
        "licences": {row.name: row.licence for row in project.collections},
    }
    storage.write_record(target, {**facts, **record})
    for leftover in ("rows", "checkpoint", "listed"):  # what served resuming alone
        storage.remove(storage.join(target, leftover))


def check_drawn(project: Project, runs: str) -> None:
    """UserError: the project draws collections itself, and the runs folder is no folder of this machine."""
    names = [row.name for row in project.collections if row.draw]
    if names and "://" in runs:
        raise UserError(
            f"collection {names[0]!r} is drawn and cannot be drawn into {runs}; give --videos, or --runs a "
            "folder of this machine"
        )


if __name__ == "__main__":
    run_script(main)
