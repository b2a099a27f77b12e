"""The manual pass (paper 2.2): pages on which people look at all sourced videos and decide which to keep.

In the paper, people removed 11,000 of 15,000 videos found by keywords, text overlays, and a fifth of the artists' own
videos for jitter and for alternating between two frames. So a page shows each video twice: a few small frames from its
full length, and its first frames at their real rate, where such faults are visible. A page is one self-contained file;
decisions stay in the browser until they are downloaded (see `decisions`).
"""

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from stickers.artifacts.ids import content_id
from stickers.curation.video_tables import Unread, VideoTable, evenly_spaced, look, size_of
from stickers.errors import UserError
from stickers.video.clips import shrink

PER_PAGE = 48
PAGE, INDEX = "review_page.html.j2", "review_index.html.j2"
#: reasons to reject, in the order of their keys; the last one needs a few words
REASONS = ("text overlaid", "off style", "jitter", "two frames alternating", "broken", "other")
#: pixels on the longer side
PREVIEW_SIDE, STRIP_SIDE = 144, 72
PREVIEW_FRAMES, STRIP_FRAMES = 48, 8
#: WebP's quality (0 to 100) and effort (0 to 6); the pictures are for looking, not for keeping
QUALITY, METHOD = 60, 3


@dataclass(frozen=True, kw_only=True)
class Card:
    """One video on a page. `name` identifies it in decisions; a video that cannot be read has only a `reason`.

    `preview` is a WebP of `preview_frames` frames stacked from top to bottom, `strip` one of a few frames side by side.
    """

    name: str
    caption: str
    reason: str = ""
    num_frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    preview: bytes = b""
    preview_frames: int = 0
    preview_size: tuple[int, int] = (0, 0)
    strip: bytes = b""

    @property
    def facts(self) -> str:
        """Frames, rate and length, and how much of the video plays."""
        length = f"{self.num_frames} frames, {self.fps:.4g} fps, {self.num_frames / self.fps:.1f} s"
        part = f"; the first {self.preview_frames / self.fps:.1f} s play"
        return length + (part if self.preview_frames < self.num_frames else "")


@dataclass(frozen=True)
class Review:
    """A table split into pages: `pages` are ranges of its rows. `id` changes with the videos and the pages' size."""

    id: str
    title: str
    pages: tuple[range, ...]

    @staticmethod
    def of(table: VideoTable, title: str, per_page: int = PER_PAGE) -> "Review":
        """The review of a table. UserError when `per_page` is not positive."""
        if per_page < 1:
            raise UserError(f"a page shows at least 1 video, got {per_page}")
        count = table.rows.num_rows
        pages = tuple(range(first, min(first + per_page, count)) for first in range(0, count, per_page))
        return Review(content_id("review", table.names, table.captions, per_page), title, pages)

    @property
    def num_videos(self) -> int:
        """Videos on all pages."""
        return self.pages[-1].stop


def page_name(number: int) -> str:
    """The file of a page; the first one is number 0."""
    return f"page-{number + 1:04d}.html"


def make_card(name: str, file: str, caption: str) -> Card:
    """Decode a video and make its pictures."""
    result, size = look(file, PREVIEW_SIDE), size_of(file)
    if isinstance(result, Unread):
        return Card(name=name, caption=caption, reason=result.reason)
    if isinstance(size, Unread):
        return Card(name=name, caption=caption, reason=size.reason)
    frames, info = result
    playing = frames[:PREVIEW_FRAMES]
    return Card(
        name=name,
        caption=caption,
        num_frames=len(frames),
        fps=info.fps,
        width=size[0],
        height=size[1],
        preview=_webp(playing.reshape(-1, *playing.shape[2:])),
        preview_frames=len(playing),
        preview_size=(playing.shape[2], playing.shape[1]),
        strip=_webp(np.concatenate(list(shrink(evenly_spaced(frames, STRIP_FRAMES), STRIP_SIDE)), axis=1)),
    )


def render_page(review: Review, number: int, cards: Sequence[Card]) -> str:
    """A page as HTML, with the cards of the rows `review.pages[number]`."""
    assert len(cards) == len(review.pages[number])
    return _render(PAGE, review=review, number=number, cards=cards, first=review.pages[number].start)


def render_index(review: Review) -> str:
    """The page that links the others and counts the decisions on each."""
    return _render(INDEX, review=review)


def _render(template: str, **values: object) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_uri": _data_uri, "thousands": lambda n: f"{n:,}"}
    environment.globals |= {"page_name": page_name, "reasons": REASONS}
    return environment.get_template(template).render(**values)


def _webp(pixels_HWC: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels_HWC)).save(buffer, "WEBP", quality=QUALITY, method=METHOD)
    return buffer.getvalue()


def _data_uri(picture: bytes) -> str:
    return "data:image/webp;base64," + b64encode(picture).decode()
