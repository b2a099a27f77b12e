"""Prompts that a project keeps for its evaluation enter no plan."""

from typing import Protocol

from stickers.artifacts.ids import content_id
from stickers.artifacts.records import Refused
from stickers.curation.keywords import tokens
from stickers.errors import UserError
from stickers.prompts.sorting import Reserved, folded
from stickers.prompts.sources import StickerSource
from stickers.prompts.sticker_tables import Stickers


class Reserving(Protocol):
    """What an evaluation says of its prompts."""

    @property
    def stickers(self) -> StickerSource:
        """The held-out stickers."""
        ...

    @property
    def reserved(self) -> Reserved | None:
        """Whether a further prompt is held back."""
        ...


def reservation(evaluation: Reserving) -> Reserved:
    """Whether a prompt is kept for evaluation: it has the words of a held-out one, or the project reserves it."""
    held_out = {_words(prompt.text) for prompt in evaluation.stickers.stickers().prompts}
    further = evaluation.reserved

    def is_reserved(text: str) -> bool:
        return _words(text) in held_out or (further is not None and further(text))

    return is_reserved


def without_reserved(stickers: Stickers, evaluation: Reserving) -> Stickers:
    """The stickers of prompts that are free; the others are refused.

    Raises:
        UserError: no prompt is free.
    """
    is_reserved = reservation(evaluation)
    free = [prompt for prompt in stickers.prompts if not is_reserved(prompt.text)]
    names = {prompt.prompt_id for prompt in free}
    refused = [
        Refused(uri=prompt.text, source=prompt.source, reason="the project keeps it for its evaluation")
        for prompt in stickers.prompts
        if prompt.prompt_id not in names
    ]
    if not free:
        raise UserError(
            f"all {len(refused)} prompts are kept for the project's evaluation; none is left to animate"
        )
    pictures = [row for row in stickers.stickers if row.prompt_id in names]
    return Stickers(free, pictures, [*stickers.refused, *refused])


def _words(text: str) -> tuple[str, ...]:
    return tokens(folded(text))


def held_out_key(sticker_id: str) -> str:
    """What names the readings of a held-out sticker in an evaluation."""
    return content_id("held-out", sticker_id)
