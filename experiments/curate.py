"""From a heap of videos to training sets: `python experiments/curate.py {keywords,review,neighbours,captions}`.

The four steps of the paper's section 2.2, in any order; each reads a table and writes one. A table is a CSV, JSONL or
Parquet file with the columns file and caption (other columns travel along), or a folder of videos with a captions.csv.
`prepare.py --videos` takes the last one. The models' answers are stored in the runs folder by the video's content, so a
stopped command goes on, and a larger table asks about its new videos alone.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import tyro
from rich.markup import escape

from actors.curator import VideoCaptioner, VideoEmbedder
from actors.screen import console, track
from experiments.cli.curating import (
    check_out,
    check_positive,
    collect,
    contents_of,
    finish,
    mean_words,
    parts_of,
    say_written,
    show,
)
from experiments.cli.options import RUNS, Runs, run_script
from stickers import storage
from stickers.curation import captions as captioning
from stickers.curation.captions import DESCRIPTIONS, ORIGINAL, caption_key, captioner_digest, richer
from stickers.curation.decisions import part, read_decisions
from stickers.curation.keywords import Words, choose
from stickers.curation.neighbours import (
    EMBEDDINGS,
    ClipEmbedder,
    Kind,
    Neighbour,
    agreement,
    distinct,
    embedder_digest,
    nearest,
    read_vectors,
)
from stickers.curation.parts import KEY, Parts
from stickers.curation.review import PER_PAGE, Card, Review, make_card, page_name, render_index, render_page
from stickers.curation.video_tables import VideoTable, beside, read_videos, with_column, write_videos
from stickers.errors import UserError

Videos = Annotated[Path, tyro.conf.arg(metavar="TABLE")]


@dataclass(frozen=True, kw_only=True)
class Keywords:
    """Choose the videos whose captions contain the right words: whole words, in any case, singular or plural.

    For example: keywords --videos all.csv --any cat dog "ice cream" --none text logo --out keyword.csv
    """

    videos: Videos
    """the videos to choose from: a CSV, JSONL or Parquet table (file, caption), or a folder"""
    out: Path
    """the table to write: the chosen rows, and the words each one matched"""
    any: tuple[str, ...] = ()
    """words of which a caption must have at least one"""
    all: tuple[str, ...] = ()
    """words that a caption must all have"""
    none: tuple[str, ...] = ()
    """words that a caption must not have"""

    def run(self) -> None:
        """Choose the rows and write the table."""
        words, table = Words(any=self.any, all=self.all, none=self.none), read_videos(self.videos)
        check_out(self.out, self.videos)
        chosen = choose(track(table.captions, "look for words", unit="captions"), words)
        rows = table.rows.take(pa.array(chosen.rows, pa.int64()))
        write_videos(
            self.out, with_column(rows, "matched", ["; ".join(matches) for matches in chosen.matched])
        )
        counts = [(word, chosen.num_captions[word], chosen.num_chosen[word]) for word in words.words]
        total = ("all videos", table.rows.num_rows, len(chosen.rows))
        show("chosen by words", ("word", "in the table", "chosen"), [*counts, total])
        say_written(self.out)


@dataclass(frozen=True, kw_only=True)
class ReviewVideos:
    """Let a person accept or reject every video: first make pages to look at, then apply the decisions.

    For example: review --videos keyword.csv --out review, open review/index.html in a browser, decide with keys,
    download decisions.csv, then: review --videos keyword.csv --apply decisions.csv --out keyword-kept.csv
    """

    videos: Videos
    """the videos to look at: a CSV, JSONL or Parquet table (file, caption), or a folder"""
    out: Path
    """the folder for the pages; with --apply the table of accepted videos, beside which NAME-rejected is written"""
    apply: tuple[Path, ...] = ()
    """one or several decisions.csv, downloaded from the pages"""
    keep_unreviewed: bool = False
    """with --apply: keep the videos that nobody decided on"""
    per_page: int = PER_PAGE
    """videos on a page"""

    def run(self) -> None:
        """Make the pages, or apply decisions when they are given."""
        table = read_videos(self.videos)
        if self.apply:
            apply_decisions(self, table)
        elif self.keep_unreviewed:
            raise UserError("--keep-unreviewed belongs to --apply; give the downloaded decisions too")
        else:
            write_pages(self, table)


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Find the videos of a large pool that look like a few good ones.

    For example: neighbours --videos pool.csv --seeds keyword-kept.csv artist --clip-model clip --out neighbours.csv
    """

    videos: Videos
    """the pool to search: a CSV, JSONL or Parquet table (file, caption), or a folder"""
    seeds: tuple[Path, ...]
    """tables or folders of videos that people have chosen; the search leaves them out"""
    clip_model: Path
    """a transformers folder of a CLIP model and its image processor"""
    out: Path
    """the table to write: the rows found, best first, with their similarity (score) and the seed (nearest)"""
    per_seed: int = 20
    """neighbours of each seed"""
    limit: int | None = None
    """at most this many videos in all; the best are kept"""
    index: Kind = "auto"
    """exact compares all with all; ivf and hnsw are approximate, for large pools; auto is exact up to 200,000"""
    effort: int = 64
    """how much of the pool ivf and hnsw look at; more is slower and finds more"""
    recall: bool = False
    """also search exactly, and print how well the index agrees"""
    num_frames: int = 8
    """frames of each video that the model sees"""
    runs: Runs = RUNS

    def run(self) -> None:
        """Search the pool and write the rows found."""
        check_out(self.out, self.videos, *self.seeds)
        check_positive(
            per_seed=self.per_seed, limit=self.limit, effort=self.effort, num_frames=self.num_frames
        )
        pool, chosen = read_videos(self.videos), [read_videos(path) for path in self.seeds]
        if not chosen:
            raise UserError("--seeds is empty; name tables or folders of videos that people have chosen")
        find_neighbours(self, pool, list(dict.fromkeys(file for table in chosen for file in table.files)))


@dataclass(frozen=True, kw_only=True)
class Captions:
    """Describe each video: a captioner's words for several frames, joined with the names in its caption.

    For example: captions --videos neighbours.csv --captioner blip --out neighbours-captioned.csv
    """

    videos: Videos
    """the videos: a CSV, JSONL or Parquet table (file, caption), or a folder"""
    captioner: Path
    """a transformers folder of a BLIP-class captioning model and its processor"""
    out: Path
    """the table to write: the same rows with richer captions; the column original_caption keeps the old ones"""
    entities: Path | None = None
    """a transformers folder of a token classifier that finds names; without one, a rule on stop words finds them"""
    num_frames: int = captioning.NUM_FRAMES
    """frames of each video that are captioned"""
    num_beams: int = captioning.NUM_BEAMS
    """width of the beam search; 1 is greedy"""
    runs: Runs = RUNS

    def run(self) -> None:
        """Caption the videos and write the table."""
        check_out(self.out, self.videos)
        check_positive(num_frames=self.num_frames, num_beams=self.num_beams)
        describe_videos(self, read_videos(self.videos))


def apply_decisions(command: ReviewVideos, table: VideoTable) -> None:
    """Write the accepted and the rejected rows of a reviewed table. Decisions on other tables are refused first."""
    check_out(command.out, command.videos)
    parted = part(table, read_decisions(command.apply), keep_unreviewed=command.keep_unreviewed)
    rejected = beside(command.out, "rejected")
    write_videos(command.out, parted.accepted)
    write_videos(rejected, parted.rejected)
    lines = [("rejected: " + reason, count) for reason, count in parted.reasons.most_common()]
    unreviewed = "kept" if command.keep_unreviewed else "left out"
    show(
        "reviewed",
        ("", "videos"),
        [
            ("in the table", table.rows.num_rows),
            ("accepted", parted.accepted.num_rows - parted.unreviewed * command.keep_unreviewed),
            ("rejected", parted.rejected.num_rows),
            *lines,
            (f"unreviewed, {unreviewed}", parted.unreviewed),
        ],
    )
    say_written(command.out, rejected)


def write_pages(command: ReviewVideos, table: VideoTable) -> None:
    """Write the pages that do not exist yet, then the index.

    Raises:
        UserError: --out names a table, or holds the review of another table.
    """
    folder, review = (
        command.out.expanduser().resolve(),
        Review.of(table, command.videos.resolve().name, command.per_page),
    )
    record_uri = str(folder / "review.json")
    if folder.suffix in (".csv", ".jsonl", ".parquet"):
        raise UserError(f"{folder} names a table; without --apply, --out is the folder for the pages")
    if storage.exists(record_uri) and storage.read_json(record_uri)["id"] != review.id:
        raise UserError(f"{folder} holds the review of another table; give another --out")
    storage.write_json(
        record_uri, {"id": review.id, "table": str(command.videos.resolve()), "videos": review.num_videos}
    )
    unread = 0
    missing = [at for at in range(len(review.pages)) if not (folder / page_name(at)).exists()]
    for number, cards in cards_of(table, [review.pages[at] for at in missing]):
        unread += sum(bool(card.reason) for card in cards)
        page = render_page(review, missing[number], cards)
        storage.write_bytes(str(folder / page_name(missing[number])), page.encode())
    storage.write_bytes(str(folder / "index.html"), render_index(review).encode())
    show(
        "review",
        ("", ""),
        [
            ("videos", review.num_videos),
            ("pages", len(review.pages)),
            ("pages there already", len(review.pages) - len(missing)),
            ("videos that cannot be read, on new pages", unread),
        ],
    )
    console.print(f"open {folder}/index.html in a browser", highlight=False, soft_wrap=True)


def cards_of(table: VideoTable, pages: list[range]) -> Iterator[tuple[int, list[Card]]]:
    """Each page's number and cards; several processes decode them."""
    rows = list(zip(table.names, table.files, table.captions, strict=True))
    shown_rows = [rows[at] for page in pages for at in page]
    with ProcessPoolExecutor(max(1, min(8, os.cpu_count() or 1))) as pool:
        previews = (
            pool.map(make_card, *zip(*shown_rows, strict=True), chunksize=4) if shown_rows else iter(())
        )
        cards = track(previews, "previews", len(shown_rows), "videos")
        for number, page in enumerate(pages):
            yield number, [next(cards) for _ in page]


def find_neighbours(command: Neighbours, pool: VideoTable, seeds: list[str]) -> None:
    """Embed the new videos, search the pool, and write the rows of the neighbours."""
    contents, unread = contents_of([*seeds, *pool.files])
    digest = embedder_digest(command.clip_model, command.num_frames)
    parts = parts_of(command.runs, "embeddings", digest, EMBEDDINGS)
    num_asked, unread = embed_new(command, contents, parts, unread)
    known_contents = parts.keys()
    seeded = {contents[file]: file for file in seeds if contents.get(file) in known_contents}
    contents_by_row = [contents.get(file, "") for file in pool.files]
    rows = distinct(contents_by_row, known_contents - seeded.keys())
    points = read_vectors(parts, [contents_by_row[at] for at in rows])
    neighbours, compared = search(command, read_vectors(parts, list(seeded)), points)
    taken = pool.rows.take(pa.array([rows[neighbour.row] for neighbour in neighbours], pa.int64()))
    taken = with_column(taken, "score", [neighbour.score for neighbour in neighbours], pa.float64())
    named = list(seeded.values())
    write_videos(
        command.out, with_column(taken, "nearest", [named[neighbour.seed] for neighbour in neighbours])
    )
    lines = [
        ("seeds", len(seeds)),
        ("pool", pool.rows.num_rows),
        ("searched: without seeds and repeats", len(rows)),
        ("asked now", num_asked),
        ("known before", len(set(contents.values())) - num_asked),
        ("found", len(neighbours)),
        *compared,
    ]
    finish(command.out, "neighbours", lines, pool, unread)


def embed_new(
    command: Neighbours, contents: dict[str, str], parts: Parts, unread: dict[str, str]
) -> tuple[int, dict[str, str]]:
    """Embed the contents that `parts` lacks; returns how many, and the unreadable files with their reasons."""
    known_contents = parts.keys()
    new = {content: file for file, content in contents.items() if content not in known_contents}
    if not new:
        return 0, unread
    ClipEmbedder(command.clip_model)  # refuses a folder of another kind before anything starts
    rows = [{KEY: content, "file": file, "caption": ""} for content, file in new.items()]
    newly_unread = collect(rows, parts, VideoEmbedder, str(command.clip_model.resolve()), command.num_frames)
    return len(new), unread | newly_unread


def search(
    command: Neighbours, seeds_SD: np.ndarray, pool_ND: np.ndarray
) -> tuple[list[Neighbour], list[tuple[str, str]]]:
    """The neighbours, and with --recall lines on how well the index agrees with an exact search."""
    per_seed, limit = command.per_seed, command.limit
    neighbours = nearest(seeds_SD, pool_ND, per_seed=per_seed, kind=command.index, effort=command.effort)[
        :limit
    ]
    if not command.recall:
        return neighbours, []
    compared = agreement(neighbours, nearest(seeds_SD, pool_ND, per_seed=per_seed, kind="exact")[:limit])
    return neighbours, [
        (f"precision of {command.index} against exact", f"{compared.precision:.4f}"),
        (f"recall of {command.index} against exact", f"{compared.recall:.4f}"),
    ]


def describe_videos(command: Captions, table: VideoTable) -> None:
    """Ask the models about the new videos, and write the table with richer captions."""
    originals = table.captions
    if ORIGINAL in table.rows.column_names:  # a table that was captioned before
        originals = [text or "" for text in table.rows[ORIGINAL].to_pylist()]
    contents, unread = contents_of(table.files)
    asking = [
        {KEY: caption_key(contents[file], text), "file": file, "caption": text}
        for file, text in zip(table.files, originals, strict=True)
        if file in contents
    ]
    digest = captioner_digest(command.captioner, command.entities, command.num_frames, command.num_beams)
    parts = parts_of(command.runs, "captions", digest, DESCRIPTIONS)
    known_keys = parts.keys()
    new = list({row[KEY]: row for row in asking if row[KEY] not in known_keys}.values())
    if new:
        unread |= ask_captioner(command, new, parts)
    answers = parts.read({row[KEY] for row in asking})
    texts = {
        (row["file"], row["caption"]): richer(
            answers[row[KEY]]["frames"], answers[row[KEY]]["entities"], row["caption"]
        )
        for row in asking
        if row[KEY] in answers
    }
    new_captions = [texts.get(key) for key in zip(table.files, originals, strict=True)]
    write_captions(command, table, originals, new_captions, unread, len(new))


def ask_captioner(command: Captions, new: list[dict[str, str]], parts: Parts) -> dict[str, str]:
    """Store the models' answers on new videos in `parts`; returns the unreadable files with their reasons."""
    captioning.BlipCaptioner(command.captioner)  # refuses a wrong folder before anything starts
    if command.entities:
        captioning.TokenEntities(command.entities)
    entities = str(command.entities.resolve()) if command.entities else None
    settings = (str(command.captioner.resolve()), entities, command.num_frames, command.num_beams)
    return collect(new, parts, VideoCaptioner, *settings)


def write_captions(
    command: Captions,
    table: VideoTable,
    originals: list[str],
    new_captions: list[str | None],
    unread: dict[str, str],
    num_asked: int,
) -> None:
    """Write the rows that have new captions, and print the summary."""
    pairs = [
        (at, old, new)
        for at, (old, new) in enumerate(zip(originals, new_captions, strict=True))
        if new is not None
    ]
    rows = table.rows.take(pa.array([at for at, _, _ in pairs], pa.int64()))
    rows = with_column(rows, "caption", [new for _, _, new in pairs])
    write_videos(command.out, with_column(rows, ORIGINAL, [old for _, old, _ in pairs]))
    lines = [
        ("videos", table.rows.num_rows),
        ("captioned", len(pairs)),
        ("asked now", num_asked),
        ("words a caption before", f"{mean_words([old for _, old, _ in pairs]):.1f}"),
        ("words a caption now", f"{mean_words([new for _, _, new in pairs]):.1f}"),
    ]
    finish(command.out, "captions", lines, table, unread)
    for _, old, new in pairs[:3]:
        console.print(
            f"[dim]{escape(old) or 'no caption'}[/] → {escape(new)}", highlight=False, soft_wrap=True
        )


Commands = (
    Annotated[Keywords, tyro.conf.subcommand("keywords")]
    | Annotated[ReviewVideos, tyro.conf.subcommand("review")]
    | Annotated[Neighbours, tyro.conf.subcommand("neighbours")]
    | Annotated[Captions, tyro.conf.subcommand("captions")]
)


def main(command: tyro.conf.OmitSubcommandPrefixes[tyro.conf.OmitArgPrefixes[Commands]]) -> None:
    """Make training sets from a heap of videos. Each step reads a table of videos and writes one."""
    command.run()


if __name__ == "__main__":
    run_script(main)
