"""Two pictures a prompt: `python experiments/draw.py`, by a text-to-image model or the project's own source.

It draws the prompts that `experiments/prompts.py` made last; `experiments/candidates.py` animates what comes of it.
"""

from typing import Any

import pyarrow as pa
from rich.markup import escape
from rich.table import Table

from actors.artist import draw_stickers
from actors.blocks import DurableRows
from actors.cluster import connect
from actors.screen import Bar, console, watching
from experiments.cli.options import RUNS, Runs, run_script
from experiments.cli.project_choice import ProjectName, absolute, choose_project
from experiments.prompts import prompt_set
from stickers import storage
from stickers.artifacts.ids import content_id, sticker_id
from stickers.artifacts.records import PROMPTS, REFUSED, STICKERS, Prompt, Refused, Sticker
from stickers.artifacts.schema import records_of, table_of
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.housekeeping.withdrawn import Withdrawn
from stickers.models.trust import refuse_own_code
from stickers.project import Project
from stickers.prompts.sources import DrawnStickers, StickerSource
from stickers.prompts.sticker_tables import IMAGES_PER_PROMPT, Stickers
from stickers.prompts.text_to_image import DRAWINGS, DRAWN, TEMPLATE, drawings_of

REFUSED_SHOWN = 10
#: pixels a side: what text-to-image models draw
STICKER_SIZE = 512


def drawn_by_source(source: StickerSource, prompts: list[Prompt]) -> Stickers:
    """The pictures of a project's own source; prompts for which it has none are refused."""
    stickers: list[Sticker] = []
    refused: list[Refused] = []
    for prompt in prompts:
        try:
            stickers += source.pictures(prompt)
        except UserError as error:
            refused.append(Refused(uri=prompt.text, source=prompt.source, reason=str(error)))
    return Stickers(prompts, stickers, refused)


def drawn_by_model(uri: str, prompts: list[Prompt], size: int, options: dict[str, Any]) -> Stickers:
    """The pictures that a text-to-image model draws; each block is durable once it is written.

    Args:
        uri: the folder of the set.
        size: pixels a side.
        options: of `draw_stickers`.
    """
    drawings, drawings_uri, drawn_uri = (
        drawings_of(prompts),
        storage.join(uri, "drawings.parquet"),
        storage.join(uri, "drawn"),
    )
    rows = pa.Table.from_pylist([vars(drawing) for drawing in drawings], schema=DRAWINGS)
    storage.write_table(drawings_uri, rows, DRAWINGS)
    for torn in storage.discard_torn(drawn_uri):
        console.print(f"[yellow]interrupted, made again: {escape(torn)}", highlight=False, soft_wrap=True)
    bar = Bar("the model draws", len(drawings), "pictures")
    with connect(), watching(bar, DurableRows(drawn_uri, "drawing_id")):
        draw_stickers(drawings_uri, drawn_uri, size=size, **options)
    rows_by_id = {
        row["drawing_id"]: row
        for row in storage.read_table(storage.join(drawn_uri, "rows"), DRAWN).to_pylist()
    }
    prompts_by_id = {prompt.prompt_id: prompt for prompt in prompts}
    stickers, refused = [], []
    for drawing in drawings:
        png, prompt = rows_by_id[drawing.drawing_id]["png"], prompts_by_id[drawing.prompt_id]
        if png is None:
            title = f"{prompt.text}, picture {drawing.image_index + 1}"
            refused.append(
                Refused(uri=title, source=prompt.source, reason=rows_by_id[drawing.drawing_id]["reason"])
            )
        else:
            name = sticker_id(drawing.prompt_id, drawing.image_index, png)
            stickers.append(
                Sticker(
                    sticker_id=name, prompt_id=drawing.prompt_id, image_index=drawing.image_index, png=png
                )
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


def save(uri: str, stickers: Stickers, record: dict[str, Any]) -> None:
    """Write a set without the prompts that have no picture. UserError: no prompt has one."""
    used = {sticker.prompt_id for sticker in stickers.stickers}
    prompts = [prompt for prompt in stickers.prompts if prompt.prompt_id in used]
    if not prompts:
        raise UserError(f"none of the pictures can be used; the first: {stickers.refused[0].reason}")
    storage.write_table(storage.join(uri, "prompts.parquet"), table_of(prompts, Prompt), PROMPTS)
    storage.write_table(storage.join(uri, "stickers.parquet"), table_of(stickers.stickers, Sticker), STICKERS)
    storage.write_table(storage.join(uri, "refused.parquet"), table_of(stickers.refused, Refused), REFUSED)
    counts = {"prompts": len(prompts), "stickers": len(stickers.stickers), "refused": len(stickers.refused)}
    storage.write_record(uri, {"kind": "stickers", "counts": counts, **record})
    if storage.exists(storage.join(uri, "drawn")):
        storage.remove(storage.join(uri, "drawn"))


def show(name: str, stickers: Stickers) -> None:
    """Print how many pictures a set has, and the first refused ones with their reasons."""
    table = Table("prompts", "stickers", "refused", title=f"stickers {name}")
    table.add_row(*(str(len(rows)) for rows in (stickers.prompts, stickers.stickers, stickers.refused)))
    console.print(table)
    for row in stickers.refused[:REFUSED_SHOWN]:
        console.print(
            f"[yellow]refused[/] {escape(row.uri)}: {escape(row.reason)}", highlight=False, soft_wrap=True
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
        prompts: the set of prompts; by default the last one (experiments/prompts.py).
        model: folder of a diffusers text-to-image pipeline; by default the project's. A project without one draws from
            its own source.
        template: the text for the model, with {prompt} in it. A plain background can be cut out.
        steps: steps of the model's sampler; by default the pipeline's own number.
        size: pixels a side of the stickers that a model draws; teachers shrink them to their own size.
        seed: of the model's noise; the noise of each picture follows from it.
        gpus: the share of a GPU that the model takes; 0.5 puts two on each.
    """
    chosen, runs = choose_project(project), storage.resolve_runs(runs)
    folder, template = text_to_image(chosen, model, template)
    source = source_prompts(runs, chosen, prompts)
    inputs = {
        "prompts": source.folder,
        "model": weights_digest(storage.local_folder(folder)) if folder else repr(chosen.stickers),
        "template": template if folder else "",
        "steps": steps,
        "seed": seed,
        "size": size if folder else None,
        "images": IMAGES_PER_PROMPT,
    }
    uri = storage.join(runs, "stickers", content_id("stickers", inputs)[:12])
    if storage.exists(storage.join(uri, storage.RECORD)):
        console.print(f"nothing to do, the stickers are there: {uri}", soft_wrap=True)
    else:
        rows = prompt_set(source.uri).prompts
        options = {"folder": folder, "template": template, "seed": seed, "steps": steps, "gpus": gpus}
        stickers = (
            drawn_by_model(uri, rows, size, options) if folder else drawn_by_source(chosen.stickers, rows)
        )
        save(uri, Withdrawn.of(runs).without(stickers), {"project": chosen.name, "inputs": inputs})
    name = uri.rsplit("/", 1)[1]
    storage.set_current(runs, "stickers", chosen.name, name)
    show(name, read_stickers(uri))


def text_to_image(project: Project, model: str | None, template: str | None) -> tuple[str | None, str]:
    """The folder of the model that draws, None where the project's own source does, and the template of its prompts.

    Raises:
        UserError: the template lacks {prompt}, or the model's folder brings code of its own.
    """
    drawn = project.stickers if isinstance(project.stickers, DrawnStickers) else None
    template = template or (drawn.template if drawn else TEMPLATE)
    if "{prompt}" not in template:
        raise UserError(
            f"the template {template!r} has no place for the prompt; write {{prompt}} where it belongs"
        )
    folder = absolute(model) if model else (drawn.text_to_image if drawn else None)
    if folder:
        refuse_own_code(storage.local_folder(folder))
    return folder, template


def source_prompts(runs: str, project: Project, name: str | None) -> storage.Artifact:
    """The set of prompts of that name, by default the project's last. UserError: there is none."""
    if name:
        return storage.find_record(runs, "prompts", name)
    prompts = storage.current(runs, "prompts", project.name)
    if prompts is None:
        raise UserError(
            f"there are no prompts of project {project.name!r} yet; run experiments/prompts.py first"
        )
    return prompts


if __name__ == "__main__":
    run_script(main)
