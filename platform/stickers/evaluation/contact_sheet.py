"""Draws clips as one still picture, for pages that cannot show strips, such as the README."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stickers.errors import UserError

INK, SOFT, PAPER, CHECKS = (38, 35, 43), (109, 104, 116), (250, 248, 244), ((255, 255, 255), (233, 230, 225))
GAP, MARGIN, LABEL_HEIGHT, TEXT_SIZE = 10, 16, 30, 15


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[np.ndarray | None]]],
    labels: Sequence[str],
    *,
    frames_shown: int = 3,
    tile: int = 64,
) -> bytes:
    """A PNG with one line per prompt and one film strip per system.

    Args:
        rows: prompt and one clip (uint8 RGBA `[T, H, W, 4]`) or None for each label.
        labels: the systems, left to right.
        frames_shown: frames of each clip, evenly spaced; a clip that does not move shows one.
        tile: pixels per side of a frame.

    Raises:
        UserError: there is no row, or a row has more or fewer clips than there are labels.
    """
    if not rows:
        raise UserError("a contact sheet needs at least one row")
    for prompt, clips in rows:
        if len(clips) != len(labels):
            raise UserError(f"row {prompt!r} has {len(clips)} clips for {len(labels)} labels")
    widths = [_width([clips[i] for _, clips in rows], frames_shown) * tile for i in range(len(labels))]
    font = ImageFont.load_default(TEXT_SIZE)
    widths = [max(width, int(font.getlength(label))) for width, label in zip(widths, labels, strict=True)]
    first_x = MARGIN + int(max(font.getlength(prompt) for prompt, _ in rows)) + GAP * 2
    size = (
        first_x + sum(widths) + GAP * 2 * len(widths),
        MARGIN * 2 + LABEL_HEIGHT + len(rows) * (tile + GAP),
    )
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, label in enumerate(labels):
        pen.text((_column_x(first_x, widths, i), MARGIN), label, font=font, fill=INK)
    for line, (prompt, clips) in enumerate(rows):
        top = MARGIN + LABEL_HEIGHT + line * (tile + GAP)
        pen.text((MARGIN, top + tile / 2), prompt, font=font, fill=SOFT, anchor="lm")
        for i, clip in enumerate(clips):
            if clip is not None:
                _paste(sheet, clip, _column_x(first_x, widths, i), top, frames_shown, tile)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _column_x(first_x: int, widths: Sequence[int], index: int) -> int:
    return first_x + sum(widths[:index]) + GAP * 2 * index


def _width(clips: Sequence[np.ndarray | None], frames_shown: int) -> int:
    """Number of frames that a column shows: one if none of its clips moves."""
    moving = any(clip is not None and (clip != clip[:1]).any() for clip in clips)
    return frames_shown if moving else 1


def _paste(sheet: Image.Image, clip: np.ndarray, x: int, top: int, frames_shown: int, tile: int) -> None:
    count = _width([clip], frames_shown)
    for position, index in enumerate(np.linspace(0, len(clip) - 1, count).round().astype(int)):
        frame = Image.fromarray(clip[index]).resize((tile, tile), Image.Resampling.BICUBIC)
        ground = _checks(tile)
        ground.paste(frame, mask=frame.getchannel("A"))
        sheet.paste(ground, (x + position * tile, top))


def _checks(tile: int) -> Image.Image:
    step = max(4, tile // 8)
    cells = np.add.outer(np.arange(tile) // step, np.arange(tile) // step) % 2
    return Image.fromarray(np.array(CHECKS, dtype=np.uint8)[cells])
