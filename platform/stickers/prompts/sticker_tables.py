"""A team's own prompts and pictures, read from tables."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from stickers import storage
from stickers.artifacts.ids import prompt_id, sticker_id
from stickers.artifacts.records import Prompt, Refused, Sticker
from stickers.errors import UserError
from stickers.pipeline import check_prompt
from stickers.prompts.sorting import BUCKETS, OPEN, ProposedPrompt
from stickers.storage.outside import open_table
from stickers.video.clips import cut_out, fit_picture, square_side
from stickers.video.codec import decode_picture

#: pictures a prompt, of those that are drawn for it (paper section 2.3)
IMAGES_PER_PROMPT = 2
#: pixels a side up to which pictures keep their own resolution
MAX_STICKER_SIDE = 1024


@dataclass(frozen=True)
class Stickers:
    """Prompts with their pictures, and the rows that could not be used."""

    prompts: list[Prompt]
    stickers: list[Sticker]
    refused: list[Refused]


def import_stickers(table: str) -> Stickers:
    """A user's own prompts and pictures. Pictures keep their resolution, up to `MAX_STICKER_SIDE`.

    Args:
        table: CSV, JSONL or Parquet with the columns prompt and picture (a path, relative to the table, or a URI), and
            optionally bucket (action, emotion or open-ended, the default). Pictures are cut out of a solid
            background; an oblong one becomes a square (see `fit`).

    Returns:
        What can be used; every other row stands under `refused` with its reason.

    Raises:
        UserError: the table is absent, is no such table, or holds no usable row.
    """
    prompts: dict[str, Prompt] = {}
    stickers: dict[str, Sticker] = {}
    refused: list[Refused] = []
    count: dict[str, int] = {}
    for number, row in enumerate(table_rows(table, ("prompt", "picture")), start=1):
        try:
            prompt = _user_prompt(row)
            pixels = _user_picture(table, row)
        except UserError as error:
            refused.append(Refused(uri=f"{table}, row {number}", source="user", reason=str(error)))
            continue
        prompts[prompt.prompt_id] = prompt
        made = make_sticker(prompt.prompt_id, count.get(prompt.prompt_id, 0), pixels)
        count[prompt.prompt_id] = made.image_index + 1
        stickers[made.sticker_id] = made
    if not stickers:
        raise UserError(f"{table} holds no usable row; {refused[0].reason if refused else 'it is empty'}")
    return Stickers(prompts=list(prompts.values()), stickers=list(stickers.values()), refused=refused)


def read_prompts(table: str) -> list[ProposedPrompt]:
    """The prompts of a user's CSV, JSONL or Parquet table: a column prompt, and optionally bucket.

    Raises:
        UserError: the table is absent or is no such table.
    """
    source = table.rsplit("/", 1)[-1]
    return [
        ProposedPrompt(text=row["prompt"], bucket=row["bucket"], source=source)
        for row in table_rows(table, ("prompt",))
    ]


def table_rows(table: str, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a user's table: the columns that are needed, and bucket, empty where there is none.

    Raises:
        UserError: the table is absent, is no table, or lacks a column.
    """
    columns = (*needed, "bucket")
    for row in open_table(table, needed=needed).rows(columns):
        yield {name: str(row.values.get(name) or "") for name in columns}


def _user_prompt(row: dict[str, str]) -> Prompt:
    text, bucket = check_prompt(row["prompt"]), row["bucket"].strip() or OPEN
    if bucket not in BUCKETS:
        raise UserError(f"bucket {bucket!r} is unknown; accepted: {', '.join(BUCKETS)}")
    return Prompt(prompt_id=prompt_id(text), text=text, bucket=bucket, source="user")


def _user_picture(table: str, row: dict[str, str]) -> np.ndarray:
    place = row["picture"].strip()
    if not place:
        raise UserError("the picture is empty; a path or URI is expected")
    if "://" not in place:
        above = table.rpartition("/")[0] if "://" in table else str(Path(table).resolve().parent)
        place = place if place.startswith("/") else storage.join(above, place)
    try:
        return at_own_resolution(decode_picture(storage.read_bytes(place)))
    except (UserError, OSError) as error:
        raise UserError(f"picture {row['picture']}: {error}") from error


def at_own_resolution(pixels_HWC: np.ndarray) -> np.ndarray:
    """A picture in the model's form at its own size: uint8 RGBA, square, of at most `MAX_STICKER_SIDE` pixels."""
    frames = cut_out(pixels_HWC[None])
    return fit_picture(frames[0], min(square_side(frames), MAX_STICKER_SIDE))


def make_sticker(prompt: str, index: int, pixels_HWC: np.ndarray) -> Sticker:
    """A picture, uint8 RGBA, as the sticker of that index of the prompt of that id."""
    buffer = io.BytesIO()
    Image.fromarray(pixels_HWC).save(buffer, "PNG")
    png = buffer.getvalue()
    return Sticker(sticker_id=sticker_id(prompt, index, png), prompt_id=prompt, image_index=index, png=png)
