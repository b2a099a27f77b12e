"""Videos to a manifest and frame latents: `python experiments/prepare.py [--videos PATH | --sets NAME=PATH ...]`.

Without either it first draws the toy collections as files; from there on all go the same way. What an earlier run has
decoded and encoded is found in the cache by its content, whatever it was called then.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from actors.cluster import connect
from actors.encoder import COLUMNS, ClipEncoder
from experiments.cli.options import RUNS, Runs, choose_profile, encoder_digests, foundations_of, run_script
from recipes.toy.profiles import Profile
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import CLIPS
from stickers.data.cache import ROWS, FrameCache, mark_duplicates, originals
from stickers.data.collections import CAPTIONS, MEMBER, Listed, list_collection
from stickers.data.sets import SetBuilder
from stickers.errors import UserError
from stickers.models.folders import load_autoencoder
from stickers.toy.video_files import write_broken_files, write_captions, write_clip

console = Console()
LISTED = pa.schema([(name, pa.string()) for name in COLUMNS])
CHUNK = 10
#: rows of a listing that are held at a time
PART = 20_000
#: reasons that are printed; all of them stand in the manifest
SHOWN = 20
#: the collections that the shipped recipes read, best first
USER_SETS = ("artist", "keyword", "neighbours")
T = TypeVar("T")
Listing = Callable[[], Iterable[Listed]]


def draw_collections(profile: Profile, root: Path) -> list[Listed]:
    """Write the toy world's files, in parallel; what exists already is left alone."""
    listed: list[Listed] = []
    write = ray.remote(num_cpus=1)(_draw_chunk)
    for name, count in profile.collections:
        folder = root / name
        if not (folder / "captions.csv").exists():
            folder.mkdir(parents=True, exist_ok=True)
            chunks = [list(range(i, min(i + CHUNK, count))) for i in range(0, count, CHUNK)]
            waiting = [write.remote(str(folder), name, chunk, profile.seed) for chunk in chunks]
            rows = [row for done in tqdm(waiting, desc=f"draw {name}", unit="chunk") for row in ray.get(done)]
            write_captions(str(folder), rows + (write_broken_files(str(folder)) if name == "keyword" else []))
        listed += list_collection(str(folder), name)
    return listed


def _draw_chunk(folder: str, name: str, indices: list[int], seed: int) -> list[dict[str, str]]:
    return [write_clip(folder, name, index, seed) for index in indices]


def user_listing(videos: Path | None, sets: tuple[str, ...]) -> Listing:
    """What a user gives, to be listed again and again.

    `videos` is one collection, or a folder whose subfolders named artist, keyword or neighbours are those sets, with
    captions in each one's own table or for all of them in one at the top. `sets` are collections by name.

    Raises:
        UserError: a set is not given as NAME=PATH.
    """
    named: list[tuple[str, str, Path | None]] = []
    for each in sets:
        name, found, path = each.partition("=")
        if not (name and found and path):
            raise UserError(f"--sets takes NAME=PATH, got {each!r}")
        named.append((name, str(Path(path).expanduser().resolve()), None))
    if videos:
        place = videos.expanduser().resolve()
        inside = [name for name in USER_SETS if (place / name).is_dir()]
        top = place / CAPTIONS if (place / CAPTIONS).exists() else None
        named += [(name, str(place / name), top) for name in inside] or [("artist", str(place), None)]

    def listing() -> Iterator[Listed]:
        for name, path, captions in named:
            yield from list_collection(path, name, captions=captions)

    return listing


def fingerprint(listing: Listing) -> str:
    """What tells one state of a user's files from another, without reading them."""
    digest = blake2b(digest_size=13)
    for row in listing():
        path = Path(row.path.split(MEMBER, 1)[0])
        seen = path.stat() if path.exists() else None
        stamp = (seen.st_size, seen.st_mtime_ns) if seen else ()
        digest.update(repr((row.path, row.caption, row.source, *stamp)).encode())
    return digest.hexdigest()


def write_listing(listing: Iterable[Listed], place: str) -> int:
    """The listing as a table in parts, so that no more than one part is held. Returns how many rows it has."""
    total = 0
    rows = (
        {"clip_id": content_id("file", each.source, each.path), **vars(each)}
        for each in tqdm(listing, desc="list", unit="file")
    )
    for number, part in enumerate(in_parts(rows)):
        table = pa.Table.from_pylist(part, schema=LISTED)
        storage.write_table(storage.join(place, f"part-{number:05d}.parquet"), table, LISTED)
        total += len(part)
    return total


def encode(listing: Iterable[Listed], place: str, foundations: str, cache: FrameCache) -> None:
    """Make a row of every listed file once; a second call after a crash does what is missing."""
    listed, rows = storage.join(place, "listed"), storage.join(place, "rows")
    for torn in storage.discard_torn(place):
        console.print(f"[yellow]half done, made again: {escape(torn)}", highlight=False, soft_wrap=True)
    total = write_listing(listing, listed)
    # what a crash loses at most; many small files would cost more than it
    block = max(40, min(1000, total // 100))
    context = DataContext.get_current()
    context.checkpoint_config = CheckpointConfig(
        id_column="clip_id",
        checkpoint_path=storage.join(place, "checkpoint"),
        delete_checkpoint_on_success=False,
    )
    gpus = int(ray.cluster_resources().get("GPU", 0))
    dataset = ray.data.read_parquet(listed).repartition(target_num_rows_per_block=block)
    dataset.map_batches(
        ClipEncoder,
        fn_constructor_args=(foundations, *astuple(cache)),
        batch_size=8,
        compute=ActorPoolStrategy(size=gpus or max(1, min(4, os.cpu_count() or 1))),
        num_cpus=1,
        num_gpus=1 if gpus else 0,
    ).write_parquet(rows)


def rows_of(place: str, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows that `encode` left, a file at a time."""
    for part in storage.listing(storage.join(place, "rows"), recursive=True):
        if part.endswith(".parquet"):
            yield from storage.read_table(part, ROWS, columns=columns).to_pylist()


def in_parts(rows: Iterable[T]) -> Iterator[list[T]]:
    """`PART` rows at a time."""
    waiting = iter(rows)
    while part := list(islice(waiting, PART)):
        yield part


def write_sets(place: str, cache: FrameCache, foundations: str) -> dict[str, Any]:
    """The manifest, and a set for each collection and size; the best there is stands for absent ones.

    Returns:
        What the record says of them: clips by set, and how many files were listed, refused and seen twice.
    """
    builders: dict[tuple[str, int], SetBuilder] = {}
    counts: Counter[str] = Counter()
    first_reason = ""
    rows = mark_duplicates(
        rows_of(place), originals(rows_of(place, ["clip_id", "source", "content", "status"]))
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
        storage.write_table(storage.join(place, "clips", f"part-{number:05d}.parquet"), table, CLIPS)
    if not builders:
        raise UserError(f"none of the {counts.total()} files can be used; first reason: {first_reason}")
    made = [name for name, _ in builders]
    best = next((name for name in USER_SETS if name in made), made[0])
    standing = {name: name if name in made else best for name in (*USER_SETS, *made)}
    autoencoder, clips = load_autoencoder(foundations), {}
    for name, source in standing.items():
        for size in cache.sizes:
            latents = builders[source, size].build(autoencoder)
            storage.write_bytes(storage.join(place, f"{name}-{size}.safetensors"), latents.to_bytes(place))
            clips[name] = len(latents)
    return {
        "clips": clips,
        "listed": counts.total(),
        "refused": counts["refused"],
        "duplicates": counts["duplicate"],
    }


def show(place: str, record: dict[str, Any]) -> None:
    """The summary: sets, and every refusal with its reason."""
    table = Table("collection", "clips", title="prepared")
    for name, count in record["clips"].items():
        table.add_row(name, str(count))
    console.print(table)
    silent, said = 0, 0
    for row in chain.from_iterable(
        storage.read_table(part).to_pylist() for part in storage.listing(storage.join(place, "clips"))
    ):
        silent += row["status"] == "ready" and not row["caption"]
        if row["reason"] and said < SHOWN:
            console.print(f"[yellow]{row['status']}[/] {row['reason']}", highlight=False, soft_wrap=True)
            said += 1
    if silent:
        console.print(f"{silent} clips have no caption", highlight=False)
    if (left := record["refused"] + record["duplicates"] - said) > 0:
        console.print(f"{left} more are refused or duplicates: {place}/clips says why", highlight=False)


def main(
    runs: Runs = RUNS,
    profile: str = "tiny",
    videos: Path | None = None,
    sets: tuple[str, ...] = (),
    sizes: tuple[int, ...] = (),
    online: bool = False,
    foundations: str | None = None,
) -> None:
    """Make the manifest and the frame latents.

    Args:
        profile: tiny, full or smoke.
        videos: your own: a folder with a captions.csv (file, caption), a table (CSV, JSONL, Parquet) or a .tar of
            WebDataset; by default the toy collections.
        sets: further collections as NAME=PATH; recipes name them.
        sizes: pixels a side, one or several; by default the profile's.
        online: keep no frame latents: decode and encode in training, for collections too large to cache.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the profile's.
    """
    chosen, place = choose_profile(profile), storage.resolve_runs(runs)
    base, own = foundations_of(chosen, foundations), bool(videos or sets)
    if not own and "://" in place:
        raise UserError(
            f"the toy videos cannot be drawn into {place}; give --videos, or --runs a folder of this machine"
        )
    listing = user_listing(videos, sets)
    asked = tuple(sorted(set(sizes))) or (chosen.picture_size,)
    autoencoder, *text = encoder_digests(base)
    cache = FrameCache(
        place=place, autoencoder=autoencoder, text=content_id(*text), sizes=asked, with_frames=not online
    )
    state = fingerprint(listing) if own else [[list(pair) for pair in chosen.collections], chosen.seed]
    key = content_id("latents", state, list(asked), online, autoencoder, *text)
    target = storage.join(place, "latents", key)
    if storage.exists(storage.join(target, storage.RECORD)):
        storage.set_current(place, "latents", profile, key)
        console.print(f"prepared already: {target}")
        return
    with connect():
        listed = listing() if own else draw_collections(chosen, Path(place) / "collections" / key)
        encode(listed, target, base, cache)
    record = write_sets(target, cache, base)
    show(target, record)
    cache.remember(key, rows_of(target))
    storage.write_record(target, {"profile": profile, "sizes": list(asked), "online": online, **record})
    storage.set_current(place, "latents", profile, key)
    for leftover in ("rows", "checkpoint", "listed"):  # what served resuming alone
        storage.remove(storage.join(target, leftover))


if __name__ == "__main__":
    run_script(main)
