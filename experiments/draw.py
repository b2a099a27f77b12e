"""Two pictures a prompt: `python experiments/draw.py`, by a text-to-image model or the toy world's renderer.

It draws the prompts that `experiments/prompts.py` made last; `experiments/candidates.py` animates what comes of it.
"""

from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from actors.artist import draw_stickers
from actors.cluster import connect
from experiments.cli.options import RUNS, Runs, absolute, choose_profile, run_script
from experiments.prompts import prompt_set
from stickers import storage
from stickers.artifacts.ids import content_id, sticker_id
from stickers.artifacts.records import PROMPTS, REFUSED, STICKERS, Prompt, Refused, Sticker
from stickers.artifacts.schema import table_of
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.prompts.tables import IMAGES_PER_PROMPT, Stickers, toy_stickers
from stickers.prompts.text_to_image import DRAWINGS, DRAWN, TEMPLATE, drawings_of

console = Console()
REFUSED_SHOWN = 10


def drawn_by_renderer(prompts: list[Prompt], size: int) -> Stickers:
    """What the toy world can draw; other prompts are refused."""
    stickers: list[Sticker] = []
    refused: list[Refused] = []
    for each in prompts:
        try:
            stickers += toy_stickers([each], size)
        except UserError as error:
            refused.append(Refused(uri=each.text, source=each.source, reason=str(error)))
    return Stickers(prompts, stickers, refused)


def drawn_by_model(uri: str, prompts: list[Prompt], size: int, options: dict[str, Any]) -> Stickers:
    """What a text-to-image model draws; each block is durable once it is there."""
    drawings, place, out = (
        drawings_of(prompts),
        storage.join(uri, "drawings.parquet"),
        storage.join(uri, "drawn"),
    )
    rows = pa.Table.from_pylist([vars(each) for each in drawings], schema=DRAWINGS)
    storage.write_table(place, rows, DRAWINGS)
    for torn in storage.discard_torn(out):
        console.print(f"[yellow]half done, made again: {escape(torn)}", highlight=False, soft_wrap=True)
    with connect():
        draw_stickers(place, out, size=size, **options)
    found = {
        row["drawing_id"]: row for row in storage.read_table(storage.join(out, "rows"), DRAWN).to_pylist()
    }
    text = {each.prompt_id: each for each in prompts}
    stickers, refused = [], []
    for each in drawings:
        png, said = found[each.drawing_id]["png"], text[each.prompt_id]
        if png is None:
            what = f"{said.text}, picture {each.image_index + 1}"
            refused.append(Refused(uri=what, source=said.source, reason=found[each.drawing_id]["reason"]))
        else:
            name = sticker_id(each.prompt_id, each.image_index, png)
            stickers.append(
                Sticker(sticker_id=name, prompt_id=each.prompt_id, image_index=each.image_index, png=png)
            )
    return Stickers(prompts, stickers, refused)


def read_stickers(uri: str) -> Stickers:
    """A finished set, read back."""
    prompts = storage.read_table(storage.join(uri, "prompts.parquet"), PROMPTS).to_pylist()
    stickers = storage.read_table(storage.join(uri, "stickers.parquet"), STICKERS).to_pylist()
    refused = storage.read_table(storage.join(uri, "refused.parquet"), REFUSED).to_pylist()
    return Stickers(
        [Prompt(**row) for row in prompts],
        [Sticker(**row) for row in stickers],
        [Refused(**row) for row in refused],
    )


def save(uri: str, found: Stickers, record: dict[str, Any]) -> None:
    used = {each.prompt_id for each in found.stickers}
    prompts = [each for each in found.prompts if each.prompt_id in used]
    if not prompts:
        raise UserError(f"none of the pictures can be used; the first: {found.refused[0].reason}")
    storage.write_table(storage.join(uri, "prompts.parquet"), table_of(prompts, Prompt), PROMPTS)
    storage.write_table(storage.join(uri, "stickers.parquet"), table_of(found.stickers, Sticker), STICKERS)
    storage.write_table(storage.join(uri, "refused.parquet"), table_of(found.refused, Refused), REFUSED)
    counts = {"prompts": len(prompts), "stickers": len(found.stickers), "refused": len(found.refused)}
    storage.write_record(uri, {"kind": "stickers", "counts": counts, **record})
    if storage.exists(storage.join(uri, "drawn")):
        storage.remove(storage.join(uri, "drawn"))


def show(name: str, found: Stickers) -> None:
    table = Table("prompts", "stickers", "refused", title=f"stickers {name}")
    table.add_row(*(str(len(each)) for each in (found.prompts, found.stickers, found.refused)))
    console.print(table)
    for each in found.refused[:REFUSED_SHOWN]:
        console.print(
            f"[yellow]refused[/] {escape(each.uri)}: {escape(each.reason)}", highlight=False, soft_wrap=True
        )


def main(
    runs: Runs = RUNS,
    profile: str = "tiny",
    prompts: str | None = None,
    model: str | None = None,
    template: str = TEMPLATE,
    steps: int | None = None,
    seed: int = 0,
    gpus: float = 1.0,
) -> None:
    """Draw two stickers of every prompt of a set.

    Args:
        profile: tiny, full or smoke; its picture size is drawn.
        prompts: the set of prompts; by default the one made last (experiments/prompts.py).
        model: folder of a diffusers text-to-image pipeline; without it the toy world's renderer draws.
        template: what the model is given, with {prompt} in it. A plain background can be cut out.
        steps: of the model's sampler; by default its own number.
        seed: of the model's noise; each picture has one of its own that follows from it.
        gpus: what the model takes of a GPU, where there are any; 0.5 puts two on each.
    """
    chosen, place = choose_profile(profile), storage.resolve_runs(runs)
    if "{prompt}" not in template:
        raise UserError(
            f"the template {template!r} has no place for the prompt; write {{prompt}} where it belongs"
        )
    source = (
        storage.find_record(place, "prompts", prompts)
        if prompts
        else storage.current(place, "prompts", profile)
    )
    if source is None:
        raise UserError(f"there are no prompts for profile {profile!r} yet; run experiments/prompts.py first")
    asked, model = prompt_set(source.uri).prompts, absolute(model) if model else None
    inputs = {
        "prompts": source.folder,
        "model": weights_digest(storage.local_folder(model)) if model else "",
        "template": template if model else "",
        "steps": steps,
        "seed": seed,
        "size": chosen.picture_size,
        "images": IMAGES_PER_PROMPT,
    }
    uri = storage.join(place, "stickers", content_id("stickers", inputs)[:12])
    if storage.exists(storage.join(uri, storage.RECORD)):
        console.print(f"nothing to do, the stickers are there: {uri}", soft_wrap=True)
    else:
        options = {"folder": model, "template": template, "seed": seed, "steps": steps, "gpus": gpus}
        found = (
            drawn_by_model(uri, asked, chosen.picture_size, options)
            if model
            else drawn_by_renderer(asked, chosen.picture_size)
        )
        save(uri, found, {"profile": profile, "inputs": inputs})
    name = uri.rsplit("/", 1)[1]
    storage.set_current(place, "stickers", profile, name)
    show(name, read_stickers(uri))


if __name__ == "__main__":
    run_script(main)
