"""Two pictures a prompt: `python experiments/draw.py`, by a text-to-image model or the project's own source.

It draws the prompts that `experiments/prompts.py` made last; `experiments/candidates.py` animates what comes of it.
"""

from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from actors.artist import draw_stickers
from actors.cluster import connect
from experiments.cli.options import RUNS, Runs, absolute, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from experiments.prompts import prompt_set
from stickers import storage
from stickers.artifacts.ids import content_id, sticker_id
from stickers.artifacts.records import PROMPTS, REFUSED, STICKERS, Prompt, Refused, Sticker
from stickers.artifacts.schema import records_of, table_of
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.models.trust import refuse_own_code
from stickers.prompts.sources import DrawnStickers, StickerSource
from stickers.prompts.sticker_tables import IMAGES_PER_PROMPT, Stickers
from stickers.prompts.text_to_image import DRAWINGS, DRAWN, TEMPLATE, drawings_of

console = Console()
REFUSED_SHOWN = 10
#: pixels a side: what text-to-image models draw
STICKER_SIZE = 512


def drawn_by_source(source: StickerSource, prompts: list[Prompt]) -> Stickers:
    """The pictures that a project's own source has; prompts of which it has none are refused."""
    stickers: list[Sticker] = []
    refused: list[Refused] = []
    for prompt in prompts:
        try:
            stickers += source.pictures(prompt)
        except UserError as error:
            refused.append(Refused(uri=prompt.text, source=prompt.source, reason=str(error)))
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
    prompts = storage.read_table(storage.join(uri, "prompts.parquet"), PROMPTS)
    stickers = storage.read_table(storage.join(uri, "stickers.parquet"), STICKERS)
    refused = storage.read_table(storage.join(uri, "refused.parquet"), REFUSED)
    return Stickers(
        records_of(prompts, Prompt),
        records_of(stickers, Sticker),
        records_of(refused, Refused),
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
    project: ProjectName = None,
    prompts: str | None = None,
    model: str | None = None,
    template: str | None = None,
    steps: int | None = None,
    size: int = STICKER_SIZE,
    seed: int = 0,
    gpus: float = 1.0,
) -> None:
    """Draw two stickers of every prompt of a set.

    Args:
        prompts: the set of prompts; by default the one made last (experiments/prompts.py).
        model: folder of a diffusers text-to-image pipeline; by default the project's, and where that has none its own
            source draws.
        template: what the model is given, with {prompt} in it. A plain background can be cut out.
        steps: of the model's sampler; by default its own number.
        size: pixels a side of the stickers that a model draws; teachers shrink them to their own size.
        seed: of the model's noise; each picture has one of its own that follows from it.
        gpus: what the model takes of a GPU, where there are any; 0.5 puts two on each.
    """
    chosen, place = choose_project(project), storage.resolve_runs(runs)
    of_models = chosen.stickers if isinstance(chosen.stickers, DrawnStickers) else None
    template = template or (of_models.template if of_models else TEMPLATE)
    if "{prompt}" not in template:
        raise UserError(
            f"the template {template!r} has no place for the prompt; write {{prompt}} where it belongs"
        )
    source = (
        storage.find_record(place, "prompts", prompts)
        if prompts
        else storage.current(place, "prompts", chosen.name)
    )
    if source is None:
        raise UserError(
            f"there are no prompts of project {chosen.name!r} yet; run experiments/prompts.py first"
        )
    folder = absolute(model) if model else (of_models.text_to_image if of_models else None)
    if folder:
        refuse_own_code(storage.local_folder(folder))
    inputs = {
        "prompts": source.folder,
        "model": weights_digest(storage.local_folder(folder)) if folder else repr(chosen.stickers),
        "template": template if folder else "",
        "steps": steps,
        "seed": seed,
        "size": size if folder else None,
        "images": IMAGES_PER_PROMPT,
    }
    uri = storage.join(place, "stickers", content_id("stickers", inputs)[:12])
    if storage.exists(storage.join(uri, storage.RECORD)):
        console.print(f"nothing to do, the stickers are there: {uri}", soft_wrap=True)
    else:
        rows = prompt_set(source.uri).prompts
        options = {"folder": folder, "template": template, "seed": seed, "steps": steps, "gpus": gpus}
        stickers = (
            drawn_by_model(uri, rows, size, options) if folder else drawn_by_source(chosen.stickers, rows)
        )
        save(uri, stickers, {"project": chosen.name, "inputs": inputs})
    name = uri.rsplit("/", 1)[1]
    storage.set_current(place, "stickers", chosen.name, name)
    show(name, read_stickers(uri))


if __name__ == "__main__":
    run_script(main)
