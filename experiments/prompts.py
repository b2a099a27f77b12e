"""Which prompts are animated: `python experiments/prompts.py`, from tables or a language model.

Unsafe, repeated and unreadable prompts are refused with a reason. The others are sorted into the paper's three buckets.
`experiments/draw.py` draws stickers for them.
"""

from collections import Counter
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from rich.markup import escape
from rich.table import Table

from actors.author import write_answers
from actors.blocks import DurableRows
from actors.cluster import connect
from actors.screen import Bar, console, watching
from experiments.cli.options import RUNS, Runs, run_script
from experiments.cli.project_choice import ProjectName, absolute, choose_project
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import PROMPTS, REFUSED, Prompt, Refused
from stickers.artifacts.schema import records_of, table_of
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.evaluation.reservation import reservation
from stickers.models.trust import refuse_own_code
from stickers.project import Project
from stickers.prompts.language_model import ANSWERS, ASKS, asks_for, proposed_in
from stickers.prompts.sorting import PromptSet, ProposedPrompt, sort_out
from stickers.prompts.sources import DrawnStickers
from stickers.prompts.sticker_tables import read_prompts

REFUSED_SHOWN = 10


def unsafe_words(path: str) -> list[str]:
    """The words of a user's list, one on each line; empty lines and those that begin with # are skipped."""
    if not path:
        return []
    lines = storage.read_bytes(absolute(path)).decode().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def written(uri: str, model: str, num: int, seed: int, gpus: float) -> list[ProposedPrompt]:
    """The prompts that a language model writes; each of its answers is durable once it is written.

    Args:
        uri: the folder of the set.
        model: folder of the language model.
        num: how many prompts.
        gpus: the share of a GPU that the model takes.
    """
    asks = asks_for(num, weights_digest(storage.local_folder(model)), seed)
    asks_uri, answers_uri = storage.join(uri, "asks.parquet"), storage.join(uri, "answers")
    storage.write_table(
        asks_uri, ASKS.empty_table().from_pylist([vars(ask) for ask in asks], schema=ASKS), ASKS
    )
    for torn in storage.discard_torn(answers_uri):
        console.print(f"[yellow]interrupted, made again: {escape(torn)}", highlight=False, soft_wrap=True)
    if len(answers_in(answers_uri)) < len(asks):
        bar = Bar("the language model writes", len(asks), "answers")
        with connect(), watching(bar, DurableRows(answers_uri, "ask_id")):
            write_answers(asks_uri, model, answers_uri, gpus)
    answers = answers_in(answers_uri)
    return proposed_in(
        [(ask.bucket, answers[ask.ask_id]) for ask in asks], model.rstrip("/").rsplit("/", 1)[-1]
    )


def answers_in(answers_uri: str) -> dict[str, str]:
    """The answers that are written already, by question."""
    rows = storage.join(answers_uri, "rows")
    if not storage.listing(rows, recursive=True):
        return {}
    return {row["ask_id"]: row["answer"] for row in storage.read_table(rows, ANSWERS).to_pylist()}


def show(prompt_set: PromptSet, title: str) -> None:
    """Print the number of prompts in each bucket, and the first refused ones with their reasons."""
    table = Table("bucket", "prompts", "share", title=title)
    for bucket, count in prompt_set.counts().items():
        table.add_row(bucket, str(count), f"{count / max(1, len(prompt_set.prompts)):.0%}")
    table.add_row("all", str(len(prompt_set.prompts)), "", style="bold")
    console.print(table)
    for row in prompt_set.refused[:REFUSED_SHOWN]:
        console.print(
            f"[yellow]refused[/] {escape(repr(row.uri))}: {escape(row.reason)}",
            highlight=False,
            soft_wrap=True,
        )
    if len(prompt_set.refused) > REFUSED_SHOWN:
        console.print(
            f"[yellow]refused[/] {len(prompt_set.refused) - REFUSED_SHOWN} more, in refused.parquet",
            highlight=False,
        )


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """What a set of prompts is made of: the project's settings, overridden on the command line."""

    tables: tuple[str, ...]
    model: str
    num: int | None
    unsafe: str
    balance: bool
    seed: int


def settings_of(project: Project, changes: dict[str, Any]) -> PromptSettings:
    """The settings of a project whose stickers are drawn by models, with the changes that are not None.

    Raises:
        UserError: the number of prompts is below 1, or the model's folder brings code of its own.
    """
    source = project.stickers
    settings = PromptSettings(tables=(), model="", num=None, unsafe="", balance=False, seed=0)
    if isinstance(source, DrawnStickers):
        settings = PromptSettings(
            tables=source.tables,
            model=source.language_model,
            num=source.num_prompts,
            unsafe=source.unsafe,
            balance=source.balance,
            seed=source.seed,
        )
    settings = replace(settings, **{name: value for name, value in changes.items() if value is not None})
    if settings.num is not None and settings.num < 1:
        raise UserError(f"--num is how many prompts, at least 1, got {settings.num}")
    if settings.model:
        refuse_own_code(storage.local_folder(settings.model))
    return settings


def inputs_of(project: Project, settings: PromptSettings, banned: list[str]) -> dict[str, Any]:
    """Everything that decides which prompts come out; the id of the set follows from it."""
    texts = [
        [row.text.encode("utf-8", "replace").hex(), row.bucket]
        for table in settings.tables
        for row in read_prompts(table)
    ]
    return {
        "tables": content_id("proposed", texts),
        "model": weights_digest(storage.local_folder(settings.model)) if settings.model else "",
        "seed": settings.seed,
        "num": settings.num,
        "unsafe": blake2b("\n".join(banned).encode(), digest_size=8).hexdigest(),
        "balance": settings.balance,
        "project": project.name,
    }


def proposed(project: Project, settings: PromptSettings, uri: str, gpus: float) -> list[ProposedPrompt]:
    """Every prompt before sorting: those of the tables and of the model, or else the project's own."""
    prompts = [row for table in settings.tables for row in read_prompts(table)]
    if settings.model:
        if settings.num is None:
            raise UserError("--model needs --num, the number of prompts that the language model writes")
        prompts += written(uri, settings.model, settings.num, settings.seed, gpus)
    elif not settings.tables:
        prompts = [
            ProposedPrompt(text=row.text, bucket=row.bucket, source=row.source)
            for row in project.stickers.stickers(settings.num).prompts
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
    """Make the set of prompts that a project's stickers are drawn from. Every default is the project's own setting.

    Args:
        table: your own prompts (CSV, JSONL or Parquet: prompt, optionally bucket: action, emotion or open-ended).
        model: folder of a transformers causal language model that writes prompts.
        num: at most this many prompts; by default all of the tables, or the project's number.
        unsafe: your list of words that no prompt may contain, one word or phrase on each line.
        balance: take as many prompts of each bucket.
        seed: seed of the language model.
        gpus: the share of a GPU that the language model takes.
    """
    chosen, runs = choose_project(project), storage.resolve_runs(runs)
    changes = {
        "tables": table,
        "model": absolute(model) if model else None,
        "num": num,
        "unsafe": unsafe,
        "balance": balance,
        "seed": seed,
    }
    settings = settings_of(chosen, changes)
    banned = unsafe_words(settings.unsafe)
    inputs = inputs_of(chosen, settings, banned)
    uri = storage.join(runs, "prompts", content_id("prompts", inputs)[:12])
    if storage.exists(storage.join(uri, storage.RECORD)):
        console.print(f"nothing to do, the prompts are there: {uri}", soft_wrap=True)
    else:
        prompts = proposed(chosen, settings, uri, gpus)
        is_reserved = reservation(chosen.evaluation)
        sorted_set = sort_out(
            prompts, unsafe=banned, reserved=is_reserved, balance=settings.balance, most=settings.num
        )
        _save(uri, sorted_set, {"project": chosen.name, "inputs": inputs}, num_proposed=len(prompts))
    storage.set_current(runs, "prompts", chosen.name, uri.rsplit("/", 1)[1])
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
