"""Which prompts are animated: `python experiments/prompts.py`, from tables or a language model.

Unsafe, doubled and unreadable prompts are left out with a reason, the others sorted into the paper's three buckets.
`experiments/draw.py` draws what comes of it.
"""

from collections import Counter
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from actors.author import write_answers
from actors.cluster import connect
from experiments.cli.options import RUNS, Runs, absolute, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import PROMPTS, REFUSED, Prompt, Refused
from stickers.artifacts.schema import records_of, table_of
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.evaluation.reservation import reservation
from stickers.models.trust import refuse_own_code
from stickers.project import Project
from stickers.prompts.language_model import ANSWERS, ASKS, asks_for, said_in
from stickers.prompts.sorting import PromptSet, ProposedPrompt, sort_out
from stickers.prompts.sources import DrawnStickers
from stickers.prompts.sticker_tables import read_prompts

console = Console()
REFUSED_SHOWN = 10


def unsafe_words(place: str) -> list[str]:
    """The words of a user's list, one a line; empty lines and those that begin with # say nothing."""
    if not place:
        return []
    lines = storage.read_bytes(absolute(place)).decode().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def written(uri: str, model: str, num: int, seed: int, gpus: float) -> list[ProposedPrompt]:
    """What a language model writes; each of its answers is durable once it is there."""
    asks = asks_for(num, weights_digest(storage.local_folder(model)), seed)
    place, out = storage.join(uri, "asks.parquet"), storage.join(uri, "answers")
    storage.write_table(
        place, ASKS.empty_table().from_pylist([vars(each) for each in asks], schema=ASKS), ASKS
    )
    for torn in storage.discard_torn(out):
        console.print(f"[yellow]half done, made again: {escape(torn)}", highlight=False, soft_wrap=True)
    if len(answers_in(out)) < len(asks):
        with connect():
            write_answers(place, model, out, gpus)
    answers = answers_in(out)
    return said_in(
        [(each.bucket, answers[each.ask_id]) for each in asks], model.rstrip("/").rsplit("/", 1)[-1]
    )


def answers_in(out: str) -> dict[str, str]:
    """The answers that are durable, by question."""
    rows = storage.join(out, "rows")
    if not storage.listing(rows, recursive=True):
        return {}
    return {row["ask_id"]: row["answer"] for row in storage.read_table(rows, ANSWERS).to_pylist()}


def show(found: PromptSet, title: str) -> None:
    table = Table("bucket", "prompts", "share", title=title)
    for bucket, count in found.counts().items():
        table.add_row(bucket, str(count), f"{count / max(1, len(found.prompts)):.0%}")
    table.add_row("all", str(len(found.prompts)), "", style="bold")
    console.print(table)
    for each in found.refused[:REFUSED_SHOWN]:
        console.print(
            f"[yellow]refused[/] {escape(repr(each.uri))}: {escape(each.reason)}",
            highlight=False,
            soft_wrap=True,
        )
    if len(found.refused) > REFUSED_SHOWN:
        console.print(
            f"[yellow]refused[/] {len(found.refused) - REFUSED_SHOWN} more, in refused.parquet",
            highlight=False,
        )


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the set of prompts is made of: the project's source, changed from the command line."""

    tables: tuple[str, ...]
    model: str
    num: int | None
    unsafe: str
    balance: bool
    seed: int


def wish_of(project: Project, changes: dict[str, Any]) -> Wish:
    """The wish of a project whose stickers models draw, else an empty one, with the changes that are not None."""
    source = project.stickers
    usual = Wish(tables=(), model="", num=None, unsafe="", balance=False, seed=0)
    if isinstance(source, DrawnStickers):
        usual = Wish(
            tables=source.tables,
            model=source.language_model,
            num=source.num_prompts,
            unsafe=source.unsafe,
            balance=source.balance,
            seed=source.seed,
        )
    return replace(usual, **{name: value for name, value in changes.items() if value is not None})


def proposed(project: Project, wish: Wish, uri: str, gpus: float) -> list[ProposedPrompt]:
    """Every prompt before it is sorted: of the tables, of the model, or where there is neither of the project."""
    prompts = [row for table in wish.tables for row in read_prompts(table)]
    if wish.model:
        if wish.num is None:
            raise UserError("a language model writes as many prompts as --num says; give one")
        prompts += written(uri, wish.model, wish.num, wish.seed, gpus)
    elif not wish.tables:
        prompts = [
            ProposedPrompt(text=row.text, bucket=row.bucket, source=row.source)
            for row in project.stickers.stickers(wish.num).prompts
        ]
    return prompts


def main(
    runs: Runs = RUNS,
    project: ProjectName = None,
    table: tuple[str, ...] | None = None,
    model: str | None = None,
    num: int | None = None,
    unsafe: str | None = None,
    balance: bool | None = None,
    seed: int | None = None,
    gpus: float = 1.0,
) -> None:
    """Make the set of prompts that a project's stickers are drawn of. What is not given is as the project has it.

    Args:
        table: your own prompts (CSV, JSONL or Parquet: prompt, optionally bucket: action, emotion or open-ended).
        model: folder of a transformers causal language model that writes prompts.
        num: at most so many prompts; by default what the tables hold, or the project's number.
        unsafe: your list of words that no prompt may say, one word or phrase a line.
        balance: as many prompts of each bucket.
        seed: of the language model.
        gpus: what the language model takes of a GPU, where there are any.
    """
    chosen, place = choose_project(project), storage.resolve_runs(runs)
    if num is not None and num < 1:
        raise UserError(f"--num is how many prompts, at least 1, got {num}")
    changes = {
        "tables": table,
        "model": absolute(model) if model else None,
        "num": num,
        "unsafe": unsafe,
        "balance": balance,
        "seed": seed,
    }
    wish = wish_of(chosen, changes)
    if wish.model:
        refuse_own_code(storage.local_folder(wish.model))
    banned = unsafe_words(wish.unsafe)
    texts = [
        [row.text.encode("utf-8", "replace").hex(), row.bucket]
        for one in wish.tables
        for row in read_prompts(one)
    ]
    inputs: dict[str, Any] = {
        "tables": content_id("proposed", texts),
        "model": weights_digest(storage.local_folder(wish.model)) if wish.model else "",
        "seed": wish.seed,
        "num": wish.num,
        "unsafe": blake2b("\n".join(banned).encode(), digest_size=8).hexdigest(),
        "balance": wish.balance,
        "project": chosen.name,
    }
    uri = storage.join(place, "prompts", content_id("prompts", inputs)[:12])
    if storage.exists(storage.join(uri, storage.RECORD)):
        console.print(f"nothing to do, the prompts are there: {uri}", soft_wrap=True)
    else:
        prompts = proposed(chosen, wish, uri, gpus)
        is_reserved = reservation(chosen.evaluation)
        sorted_set = sort_out(
            prompts, unsafe=banned, reserved=is_reserved, balance=wish.balance, most=wish.num
        )
        _save(uri, sorted_set, {"project": chosen.name, "inputs": inputs}, num_proposed=len(prompts))
    storage.set_current(place, "prompts", chosen.name, uri.rsplit("/", 1)[1])
    show(prompt_set(uri), f"prompts {uri.rsplit('/', 1)[1]}")


def _save(uri: str, prompts: PromptSet, facts: dict[str, Any], *, num_proposed: int) -> None:
    """Write a set. UserError: none of its prompts can be used."""
    if not prompts.prompts:
        first = prompts.refused[0].reason if prompts.refused else "there is none"
        raise UserError(f"none of {num_proposed} prompts can be used; the first: {first}")
    storage.write_table(storage.join(uri, "prompts.parquet"), table_of(prompts.prompts, Prompt), PROMPTS)
    storage.write_table(storage.join(uri, "refused.parquet"), table_of(prompts.refused, Refused), REFUSED)
    counts = {
        "said": num_proposed,
        "refused": len(prompts.refused),
        "buckets": prompts.counts(),
        "sources": dict(Counter(row.source for row in prompts.prompts)),
    }
    storage.write_record(uri, {"kind": "prompts", "counts": counts, **facts})


def prompt_set(uri: str) -> PromptSet:
    """A finished set, read back."""
    prompts = storage.read_table(storage.join(uri, "prompts.parquet"), PROMPTS)
    refused = storage.read_table(storage.join(uri, "refused.parquet"), REFUSED)
    return PromptSet(prompts=records_of(prompts, Prompt), refused=records_of(refused, Refused))


if __name__ == "__main__":
    run_script(main)
