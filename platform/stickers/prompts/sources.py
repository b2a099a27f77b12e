"""Where a project's stickers come from: a table of its own, or a language model and a text-to-image model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from stickers.artifacts.records import Prompt, Sticker
from stickers.errors import UserError
from stickers.prompts.sticker_tables import Stickers, import_stickers
from stickers.prompts.text_to_image import TEMPLATE
from stickers.storage.places import as_path


class StickerSource(Protocol):
    """Prompts with their pictures."""

    @property
    def origin(self) -> str:
        """Where they come from in a few words, for records and reports."""
        ...

    def stickers(self, limit: int | None = None) -> Stickers:
        """All of them, or at most `limit` prompts. UserError: there are none that can be used."""
        ...

    def pictures(self, prompt: Prompt) -> list[Sticker]:
        """The pictures of one prompt. UserError: this source has none of it."""
        ...


@dataclass(frozen=True, kw_only=True)
class StickerTable:
    """A team's own pictures: a CSV or Parquet with the columns prompt and picture, and optionally bucket."""

    table: str = as_path()
    licence: str = ""
    origin: str = "own table"

    def stickers(self, limit: int | None = None) -> Stickers:
        """The first rows of the table."""
        return first_prompts(import_stickers(self.table), limit)

    def pictures(self, prompt: Prompt) -> list[Sticker]:
        """The table's rows of that prompt."""
        return pictures_of(self.stickers(), prompt, self.table)


@dataclass(frozen=True, kw_only=True)
class DrawnStickers:
    """Stickers that models make: prompts.py writes and sorts the prompts, draw.py draws them.

    `tables` hold prompts of one's own, `language_model` writes further ones, `text_to_image` draws; the last two are
    transformers and diffusers folders. `unsafe` is a list of words that no prompt may say.
    """

    num_prompts: int
    text_to_image: str = as_path()
    tables: tuple[str, ...] = as_path(())
    language_model: str = as_path("")
    unsafe: str = as_path("")
    balance: bool = False
    template: str = TEMPLATE
    seed: int = 0
    licence: str = ""
    origin: str = "drawn by models"

    def stickers(self, limit: int | None = None) -> Stickers:
        """They are drawn by a stage of their own."""
        raise UserError("no sticker is drawn yet; run experiments/prompts.py, then experiments/draw.py")

    def pictures(self, prompt: Prompt) -> list[Sticker]:
        """They are drawn by a stage of their own."""
        raise UserError("a text-to-image model draws this project's stickers")


@dataclass(frozen=True, kw_only=True)
class FunctionStickers:
    """Stickers that a function makes; it takes the largest number of prompts, or None for all of them."""

    make: Callable[[int | None], Stickers]
    origin: str
    licence: str = ""

    def stickers(self, limit: int | None = None) -> Stickers:
        """What the function makes."""
        return self.make(limit)

    def pictures(self, prompt: Prompt) -> list[Sticker]:
        """Those that the function makes of that prompt."""
        return pictures_of(self.make(None), prompt, self.origin)


def pictures_of(stickers: Stickers, prompt: Prompt, source: str) -> list[Sticker]:
    """The pictures of one prompt among `stickers`. UserError: there is none."""
    pictures = [row for row in stickers.stickers if row.prompt_id == prompt.prompt_id]
    if not pictures:
        raise UserError(f"{source} has no picture of the prompt {prompt.text!r}")
    return pictures


def first_prompts(stickers: Stickers, limit: int | None) -> Stickers:
    """The first `limit` prompts with their pictures. UserError: `limit` is not positive."""
    if limit is None:
        return stickers
    if limit < 1:
        raise UserError(f"the number of prompts is at least 1, got {limit}")
    prompts = stickers.prompts[:limit]
    names = {prompt.prompt_id for prompt in prompts}
    return Stickers(prompts, [row for row in stickers.stickers if row.prompt_id in names], stickers.refused)
