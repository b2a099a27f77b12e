"""The toy world as a project's sources: videos, stickers and held-out stickers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stickers.artifacts.records import Prompt, Sticker
from stickers.prompts.sticker_tables import Stickers
from stickers.toy.grammar import held_out_prompts, toy_prompts, toy_stickers
from stickers.toy.video_files import write_broken_files, write_captions, write_clip

#: the collection that also gets files which cannot be used, as real ones do
UNTIDY = "keyword"


@dataclass(frozen=True, kw_only=True)
class ToyVideos:
    """`num_videos` drawn videos of one of the toy collections."""

    collection: str
    num_videos: int
    seed: int

    def write(self, folder: str, indices: Sequence[int]) -> list[dict[str, str]]:
        """Draw some of them; each depends on its seed and index alone."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        return [write_clip(folder, self.collection, index, self.seed) for index in indices]

    def finish(self, folder: str, rows: list[dict[str, str]]) -> None:
        """Write the captions, and in the untidy collection some broken files."""
        broken = write_broken_files(folder) if self.collection == UNTIDY else []
        write_captions(folder, rows + broken)


@dataclass(frozen=True, kw_only=True)
class ToyStickers:
    """Prompts of the toy grammar with two pictures each; held-out ones with `held_out`, one picture each."""

    num_prompts: int
    size: int
    seed: int
    held_out: bool = False
    origin: str = "toy world"

    @property
    def licence(self) -> str:
        """That of everything in the toy world."""
        return "Apache-2.0"

    def stickers(self, limit: int | None = None) -> Stickers:
        """The first of them; `limit` may also ask for more than the project takes."""
        choose = held_out_prompts if self.held_out else toy_prompts
        prompts = choose(self.num_prompts if limit is None else limit, self.seed)
        pictures = toy_stickers(prompts, self.size)
        if self.held_out:
            pictures = [row for row in pictures if row.image_index == 0]
        return Stickers(prompts, pictures, [])

    def pictures(self, prompt: Prompt) -> list[Sticker]:
        """Two pictures of any prompt of the toy grammar. UserError: it is none."""
        return toy_stickers([prompt], self.size)
