"""Where prompts and static stickers come from: the toy grammar, or a user's own table of prompts and pictures.

Prompts are balanced over the paper's three buckets (section 2.3). What is kept for evaluation never enters a plan,
and the other way round.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from stickers import storage
from stickers.artifacts.ids import prompt_id, sticker_id
from stickers.artifacts.records import Prompt, Refused, Sticker
from stickers.data.encoding import canonical
from stickers.errors import UserError
from stickers.pipeline import check_prompt
from stickers.prompts.sorting import Said
from stickers.toy.characters import SUBJECTS
from stickers.toy.oracle import draw_sticker
from stickers.toy.words import BUCKET_OF, BUCKETS, PHRASES, held_out, pairs
from stickers.video.codec import decode_picture

IMAGES_PER_PROMPT = 2


@dataclass(frozen=True)
class Stickers:
    """Prompts with their pictures, and the rows that could not be used."""

    prompts: list[Prompt]
    stickers: list[Sticker]
    refused: list[Refused]


def toy_prompts(num_prompts: int, seed: int) -> list[Prompt]:
    """Distinct prompts of the toy grammar, equally many a bucket, motions and subjects in turn.

    A few open-ended prompts name the subject alone ("a fox") and so admit every open-ended motion; they use only
    subjects of which no such pair is held out.
    """
    return _balanced(num_prompts, seed, held=False)


def held_out_prompts(num_prompts: int, seed: int) -> list[Prompt]:
    """Prompts for evaluation: subject-and-motion pairs that no training set, plan or kept set contains."""
    return _balanced(num_prompts, seed, held=True)


def open_subjects() -> list[str]:
    """Subjects whose single-word prompt admits no held-out motion."""
    return [s for s in SUBJECTS if not any(held_out(s, motion) for motion in BUCKETS["open-ended"])]


def _balanced(num_prompts: int, seed: int, *, held: bool) -> list[Prompt]:
    rng = np.random.default_rng([seed, int(held)])
    queues = {bucket: _queue(bucket, rng, held=held) for bucket in BUCKETS}
    room = sum(len(queue) for queue in queues.values())
    if not 1 <= num_prompts <= room:
        raise UserError(
            f"the toy grammar has {room} such prompts, asked for {num_prompts}; accepted: 1 to {room}"
        )
    source = "toy grammar, held out" if held else "toy grammar"
    chosen: list[Prompt] = []
    while len(chosen) < num_prompts:
        for bucket, queue in queues.items():
            if queue and len(chosen) < num_prompts:
                text = queue.pop(0)
                chosen.append(Prompt(prompt_id=prompt_id(text), text=text, bucket=bucket, source=source))
    return chosen


def _queue(bucket: str, rng: np.random.Generator, *, held: bool) -> list[str]:
    """Every prompt of a bucket: motion by motion in turn, each motion's subjects shuffled, a new phrase each time."""
    turns: list[list[str]] = []
    for motion in BUCKETS[bucket]:
        subjects = [s for s, m in pairs(held=held) if m == motion]
        rng.shuffle(subjects)
        phrases = rng.permutation(PHRASES[motion])
        count = len(subjects) * len(phrases)
        turns.append(
            [
                f"{_article(subjects[i % len(subjects)])} {_phrase(phrases, i, len(subjects))}"
                for i in range(count)
            ]
        )
    if bucket == BUCKET_OF["sway"] and not held:
        turns.append([_article(subject) for subject in rng.permutation(open_subjects())])
    longest = max(len(turn) for turn in turns)
    return [turn[i] for i in range(longest) for turn in turns if i < len(turn)]


def _article(subject: str) -> str:
    return f"{'an' if subject[0] in 'aeiou' else 'a'} {subject}"


def _phrase(phrases: np.ndarray, index: int, num_subjects: int) -> str:
    """Each subject meets each phrase once, and neighbours in the queue differ in both."""
    return str(phrases[(index % num_subjects + index // num_subjects) % len(phrases)])


def toy_stickers(prompts: list[Prompt], size: int) -> list[Sticker]:
    """Two pictures a prompt, drawn by the toy world's static stickers model at `size` pixels."""
    return [
        make_sticker(each.prompt_id, index, canonical(draw_sticker(each.text, index, size)[None], size)[0])
        for each in prompts
        for index in range(IMAGES_PER_PROMPT)
    ]


def import_stickers(table: str, size: int) -> Stickers:
    """A user's own prompts and pictures.

    Args:
        table: CSV or Parquet with the columns prompt and picture (a path, relative to the table, or a URI), and
            optionally bucket (action, emotion or open-ended, the default).
        size: pixels a side; pictures are cut out of a solid background, scaled and cropped to it.

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
            pixels = _user_picture(table, row, size)
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


def read_prompts(table: str) -> list[Said]:
    """The prompts of a user's CSV or Parquet table: a column prompt, and optionally bucket.

    Raises:
        UserError: the table is absent or is no such table.
    """
    source = table.rsplit("/", 1)[-1]
    return [
        Said(text=row["prompt"], bucket=row["bucket"], source=source)
        for row in table_rows(table, ("prompt",))
    ]


def table_rows(table: str, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV or Parquet table: the columns that are needed, and bucket, empty where there is none.

    Raises:
        UserError: the table is absent, is neither, or lacks a column.
    """
    uri = table if "://" in table else str(Path(table).resolve())
    if not storage.exists(uri):
        raise UserError(f"there is no table {table}")
    if table.lower().endswith(".parquet"):
        whole = storage.read_table(uri)
        names, rows = whole.column_names, whole.to_pylist()
    else:
        try:
            reader = csv.DictReader(io.StringIO(storage.read_bytes(uri).decode("utf-8-sig")))
            names, rows = list(reader.fieldnames or []), list(reader)
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{table} is no CSV table in UTF-8: {error}") from error
    missing = [name for name in needed if name not in names]
    if missing:
        raise UserError(
            f"{table} has no column {missing[0]}; expected are {', '.join(needed)} and optionally bucket"
        )
    for row in rows:
        yield {name: str(row.get(name) or "") for name in (*needed, "bucket")}


def _user_prompt(row: dict[str, str]) -> Prompt:
    text, bucket = check_prompt(row["prompt"]), row["bucket"].strip() or "open-ended"
    if bucket not in BUCKETS:
        raise UserError(f"bucket {bucket!r} is unknown; accepted: {', '.join(BUCKETS)}")
    return Prompt(prompt_id=prompt_id(text), text=text, bucket=bucket, source="user")


def _user_picture(table: str, row: dict[str, str], size: int) -> np.ndarray:
    place = row["picture"].strip()
    if not place:
        raise UserError("the picture is empty; a path or URI is expected")
    if "://" not in place:
        above = table.rpartition("/")[0] if "://" in table else str(Path(table).resolve().parent)
        place = place if place.startswith("/") else storage.join(above, place)
    try:
        return canonical(decode_picture(storage.read_bytes(place))[None], size)[0]
    except (UserError, OSError) as error:
        raise UserError(f"picture {row['picture']}: {error}") from error


def make_sticker(prompt: str, index: int, pixels_HWC: np.ndarray) -> Sticker:
    """A picture, uint8 RGBA, as the sticker of that index of the prompt of that id."""
    buffer = io.BytesIO()
    Image.fromarray(pixels_HWC).save(buffer, "PNG")
    png = buffer.getvalue()
    return Sticker(sticker_id=sticker_id(prompt, index, png), prompt_id=prompt, image_index=index, png=png)
