"""Which prompts are animated: `python experiments/prompts.py`, from tables, a language model or the toy grammar.

Unsafe, doubled and unreadable prompts are left out with a reason, the others sorted into the paper's three buckets.
`experiments/draw.py` draws what comes of it.
"""

from collections import Counter
from hashlib import blake2b
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from actors.author import write_answers
from actors.cluster import connect
from experiments.cli.options import RUNS, Runs, absolute, choose_profile, run_script
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import PROMPTS, REFUSED, Prompt, Refused
from stickers.artifacts.schema import table_of
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.prompts.language_model import ANSWERS, ASKS, asks_for, said_in
from stickers.prompts.sorting import PromptSet, Said, sort_out
from stickers.prompts.tables import read_prompts, toy_prompts

console = Console()
REFUSED_SHOWN = 10


def unsafe_words(place: str | None) -> list[str]:
    """The words of a user's list, one a line; empty lines and those that begin with # say nothing."""
    if place is None:
        return []
    lines = storage.read_bytes(absolute(place)).decode().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def written(uri: str, model: str, num: int, seed: int, gpus: float) -> list[Said]:
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


def main(
    runs: Runs = RUNS,
    profile: str = "tiny",
    table: tuple[str, ...] = (),
    model: str | None = None,
    num: int | None = None,
    unsafe: str | None = None,
    balance: bool = False,
    seed: int = 0,
    gpus: float = 1.0,
) -> None:
    """Make the set of prompts that a profile's stickers are drawn of.

    Args:
        profile: tiny, full or smoke.
        table: your own prompts (CSV or Parquet: prompt, optionally bucket: action, emotion or open-ended).
        model: folder of a transformers causal language model that writes prompts; without it and --table, the toy
            grammar does.
        num: at most so many prompts; by default what the tables hold, or the profile's number.
        unsafe: your list of words that no prompt may say, one word or phrase a line.
        balance: as many prompts of each bucket.
        seed: of the language model.
        gpus: what the language model takes of a GPU, where there are any.
    """
    chosen, place = choose_profile(profile), storage.resolve_runs(runs)
    if num is not None and num < 1:
        raise UserError(f"--num is how many prompts, at least 1, got {num}")
    banned, asked = unsafe_words(unsafe), num or chosen.num_prompts
    model = absolute(model) if model else None
    said = [each for one in table for each in read_prompts(one)]
    inputs: dict[str, Any] = {
        "tables": content_id(
            "said", [[each.text.encode("utf-8", "replace").hex(), each.bucket] for each in said]
        ),
        "model": weights_digest(storage.local_folder(model)) if model else "",
        "seed": seed,
        "num": num,
        "unsafe": blake2b("\n".join(banned).encode(), digest_size=8).hexdigest(),
        "balance": balance,
        "profile": profile,
    }
    uri = storage.join(place, "prompts", content_id("prompts", inputs)[:12])
    if storage.exists(storage.join(uri, storage.RECORD)):
        console.print(f"nothing to do, the prompts are there: {uri}", soft_wrap=True)
    else:
        if model:
            said += written(uri, model, asked, seed, gpus)
        elif not table:
            said = [
                Said(text=p.text, bucket=p.bucket, source=p.source) for p in toy_prompts(asked, chosen.seed)
            ]
        found = sort_out(said, unsafe=banned, balance=balance, most=asked if num or model else None)
        if not found.prompts:
            raise UserError(
                f"none of {len(said)} prompts can be used; the first: {found.refused[0].reason if said else ''}"
            )
        storage.write_table(storage.join(uri, "prompts.parquet"), table_of(found.prompts, Prompt), PROMPTS)
        storage.write_table(storage.join(uri, "refused.parquet"), table_of(found.refused, Refused), REFUSED)
        sources = dict(Counter(each.source for each in found.prompts))
        counts = {
            "said": len(said),
            "refused": len(found.refused),
            "buckets": found.counts(),
            "sources": sources,
        }
        storage.write_record(uri, {"kind": "prompts", "profile": profile, "inputs": inputs, "counts": counts})
    storage.set_current(place, "prompts", profile, uri.rsplit("/", 1)[1])
    show(prompt_set(uri), f"prompts {uri.rsplit('/', 1)[1]}")


def prompt_set(uri: str) -> PromptSet:
    """A finished set, read back."""
    prompts = storage.read_table(storage.join(uri, "prompts.parquet"), PROMPTS).to_pylist()
    refused = storage.read_table(storage.join(uri, "refused.parquet"), REFUSED).to_pylist()
    return PromptSet(prompts=[Prompt(**row) for row in prompts], refused=[Refused(**row) for row in refused])


if __name__ == "__main__":
    run_script(main)
