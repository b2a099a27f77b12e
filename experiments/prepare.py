"""Videos to a manifest and frame latents: `python experiments/prepare.py [--videos DIR]`.

Without `--videos` it first draws the toy collections as files; from there on both go the same way.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import ray
import torch
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from actors.cluster import connect
from actors.encoder import ClipEncoder
from experiments.options import RUNS, Runs, choose_profile, encoder_digests, foundations_of, run_script
from recipes.profiles import Profile
from stickers import store
from stickers.artifacts import CLIPS, REFUSED, Clip, Refused, content_id, table_of
from stickers.data.latents import LatentSet
from stickers.data.manifest import CAPTIONS, Listed, list_collection
from stickers.data.toy.collections import write_broken_files, write_captions, write_clip
from stickers.models.folders import load_text_encoder

if TYPE_CHECKING:
    from stickers.models.text import TextEncoder

console = Console()
LISTED = pa.schema([(name, pa.string()) for name in ("clip_id", "path", "caption", "source")])
CHUNK = 10
#: the collections that the recipes read, best first
USER_SETS = ("artist", "keyword", "neighbours")


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


def list_user_videos(folder: Path) -> list[Listed]:
    """A user's videos: subfolders named artist, keyword or neighbours are those sets, else one folder is all three.

    Captions stand in each subfolder's own table, or for all of them in one table at the top.
    """
    named = [name for name in USER_SETS if (folder / name).is_dir()]
    if not named:
        return list_collection(str(folder), "artist")
    top = folder / CAPTIONS if (folder / CAPTIONS).exists() else None
    return [row for name in named for row in list_collection(str(folder / name), name, captions=top)]


def fingerprint(row: Listed) -> list[str | int]:
    """What tells one state of a user's file from another, without reading it."""
    path = Path(row.path)
    seen = path.stat() if path.exists() else None
    return [row.path, row.caption, row.source, *((seen.st_size, seen.st_mtime_ns) if seen else ())]


def encode(listed: list[Listed], place: str, foundations: str, size: int) -> list[dict]:
    """Examine and encode every listed file once; a second call after a crash does what is missing."""
    ids = [content_id("file", row.source, row.path) for row in listed]
    columns = {
        "clip_id": ids,
        "path": [row.path for row in listed],
        "caption": [row.caption for row in listed],
        "source": [row.source for row in listed],
    }
    plan, rows = store.join(place, "listed.parquet"), store.join(place, "rows")
    for torn in store.discard_torn(place):
        console.print(f"[yellow]half written, made again: {torn}", highlight=False, soft_wrap=True)
    store.write_table(plan, pa.table(columns, schema=LISTED), LISTED)
    context = DataContext.get_current()
    context.checkpoint_config = CheckpointConfig(
        id_column="clip_id",
        checkpoint_path=store.join(place, "checkpoint"),
        delete_checkpoint_on_success=False,
    )
    dataset = ray.data.read_parquet(plan).repartition(target_num_rows_per_block=40)
    dataset.map_batches(
        ClipEncoder,
        fn_constructor_args=(foundations, size),
        batch_size=8,
        compute=ActorPoolStrategy(size=max(1, min(4, os.cpu_count() or 1))),
        num_cpus=1,
    ).write_parquet(rows)
    return store.read_table(rows).to_pylist()


def write_sets(rows: list[dict], place: str, foundations: str, size: int) -> dict[str, int]:
    """The manifest and one latent set a source; the best there is stands for absent ones. Returns their clip counts."""
    good = sorted((row for row in rows if not row["reason"]), key=lambda row: (row["source"], row["clip_id"]))
    if not good:
        raise ValueError(f"none of the {len(rows)} files can be used; first reason: {rows[0]['reason']}")
    fields = Clip.__dataclass_fields__
    clips = [Clip(**{key: row[key] for key in fields}) for row in good]
    refused = [Refused(uri=r["uri"], source=r["source"], reason=r["reason"]) for r in rows if r["reason"]]
    store.write_table(store.join(place, "clips.parquet"), table_of(clips, Clip), CLIPS)
    store.write_table(store.join(place, "refused.parquet"), table_of(refused, Refused), REFUSED)
    text, side = load_text_encoder(foundations), size // 4
    counts = {}
    sources = [name for name in USER_SETS if any(row["source"] == name for row in good)]
    for name in USER_SETS:
        mine = [row for row in good if row["source"] == (name if name in sources else sources[0])]
        latents = _latent_set(mine, text, side)
        store.write_bytes(store.join(place, f"{name}.safetensors"), latents.to_bytes())
        counts[name] = len(mine)
    return counts


def _latent_set(rows: list[dict], text: "TextEncoder", side: int) -> LatentSet:
    frames = [
        torch.frombuffer(bytearray(row["latents"]), dtype=torch.float16).view(
            row["num_frames"], -1, side, side
        )
        for row in rows
    ]
    length = torch.tensor([len(f) for f in frames])
    captions = sorted({row["caption"] for row in rows})
    return LatentSet(
        frames=torch.cat(frames),
        first=torch.cumsum(length, 0) - length,
        length=length,
        fps=torch.tensor([row["fps"] for row in rows], dtype=torch.float32),
        texts=text.encode(captions).half(),
        text_of=torch.tensor([captions.index(row["caption"]) for row in rows]),
    )


def show(rows: list[dict], counts: dict[str, int]) -> None:
    """The summary: sets, and every refusal with its reason."""
    table = Table("collection", "clips", title="prepared")
    for name, count in counts.items():
        table.add_row(name, str(count))
    console.print(table)
    if silent := sum(1 for row in rows if not row["reason"] and not row["caption"]):
        console.print(f"{silent} clips have no caption", highlight=False)
    for row in rows:
        if row["reason"]:
            console.print(f"[yellow]refused[/] {row['reason']}", highlight=False, soft_wrap=True)


def main(
    runs: Runs = RUNS,
    profile: str = "tiny",
    videos: Path | None = None,
    foundations: str | None = None,
) -> None:
    """Make the manifest and the frame latents.

    Args:
        profile: tiny, full or smoke.
        videos: your own folder of videos with a captions.csv (file, caption); by default the toy collections.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the profile's.
    """
    chosen, place = choose_profile(profile), store.resolve_runs(runs)
    base = foundations_of(chosen, foundations)
    if not videos and "://" in place:
        raise ValueError(
            f"the toy videos cannot be drawn into {place}; give --videos, or --runs a folder of this machine"
        )
    own = list_user_videos(videos.resolve()) if videos else []
    key = content_id(
        "latents",
        [fingerprint(row) for row in own] if videos else [list(pair) for pair in chosen.collections],
        chosen.seed,
        chosen.picture_size,
        *encoder_digests(base),
    )
    target = store.join(place, "latents", key)
    if store.exists(store.join(target, store.RECORD)):
        store.set_current(place, "latents", profile, key)
        console.print(f"prepared already: {target}")
        return
    with connect():
        listed = own or draw_collections(chosen, Path(place) / "collections" / key)
        rows = encode(listed, target, base, chosen.picture_size)
    counts = write_sets(rows, target, base, chosen.picture_size)
    show(rows, counts)
    refused = sum(1 for row in rows if row["reason"])
    store.write_record(target, {"profile": profile, "clips": counts, "refused": refused, "listed": len(rows)})
    store.set_current(place, "latents", profile, key)
    for leftover in ("rows", "checkpoint", "listed.parquet"):  # what served resuming alone
        store.remove(store.join(target, leftover))


if __name__ == "__main__":
    run_script(main)
