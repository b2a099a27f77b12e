"""What is done with plans that are there: watched while they are made, audited, made again in part, extended."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic

import ray
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from actors.cluster import connect
from actors.ensemble import BATCH_SIZE
from actors.teacher import rows_per_block
from stickers import storage
from stickers.artifacts.records import PLAN
from stickers.candidates.archive import INDEX, INDEXED, Candidates
from stickers.candidates.audit import audit_index, audit_part, parts_of
from stickers.candidates.budget import allocate
from stickers.candidates.filter import matching
from stickers.candidates.plan import PLAN_FILE, Plan, PlannedTeacher, load_plan, regeneration, with_rows
from stickers.candidates.prices import Cell
from stickers.candidates.progress import Durable, Pace, summary
from stickers.errors import UserError

console = Console()
FAULTS_SHOWN = 40
#: seconds between two looks at a plan that is made; a look takes no more than a share of it
LOOK_EVERY, LOOK_SHARE = 3.0, 0.1
#: seconds between two lines where nobody watches
LINE_EVERY = 60.0


def select(uri: str, expression: str) -> list[str]:
    """The ids of a finished plan's candidates that a filter is true of.

    Raises:
        UserError: it is no filter over the candidates' columns (see `stickers.candidates.filter`).
    """
    index = storage.read_table(storage.join(uri, INDEX), INDEXED)
    return sorted(matching(index, expression)["candidate_id"].to_pylist())


def root_of(uri: str) -> str:
    """The plan that a chain of regenerations began with: it holds all prompts and stickers."""
    before = storage.read_json(storage.join(uri, PLAN_FILE))["supersedes"]
    return root_of(storage.below(uri, f"../{before}")) if before else uri


def regenerated(
    old: storage.Artifact,
    expression: str,
    ensemble: Callable[[tuple[str, ...]], Sequence[PlannedTeacher]],
    reseed: int | None,
) -> Plan:
    """A plan of some candidates of a finished plan, to be made by their teachers as they are now.

    Args:
        expression: a filter that is true of those candidates.
        ensemble: the teachers of some names.
    """
    ids = set(select(old.uri, expression))
    rows = [row for row in Candidates(old.uri) if row.candidate_id in ids]
    source = load_plan(root_of(old.uri))
    names = tuple(sorted({row.teacher for row in rows}))
    return regeneration(
        old.folder, rows, source.prompts, source.stickers, ensemble(names) if names else (), reseed=reseed
    )


def audit_plan(uri: str, *, decode: bool = True) -> int:
    """Compare a finished plan with what it asks for and look at every clip; returns 1 when there is a fault.

    Args:
        decode: see `audit_part`.
    """
    faults = audit_index(uri)
    with connect():
        look = ray.remote(audit_part)
        waiting = [look.remote(uri, *each, decode=decode) for each in parts_of(uri).items()]
        for each in tqdm(waiting, desc="audit", unit="part"):
            faults += ray.get(each)
    table = Table("candidate", "fault", "detail", title=f"faults of plan {uri.rsplit('/', 1)[1]}")
    for fault in faults[:FAULTS_SHOWN]:
        table.add_row(fault.candidate_id, fault.what, escape(fault.detail))
    if faults:
        console.print(table)
    counts = ", ".join(f"{count} {what}" for what, count in sorted(Counter(f.what for f in faults).items()))
    console.print(f"{len(Candidates(uri))} candidates, {counts or 'no fault'}", highlight=False)
    return int(bool(faults))


def planned_ids(uri: str) -> dict[tuple[str, str], list[str]]:
    """The ids that a plan's own rows have, by teacher and bucket."""
    table = storage.read_table(storage.join(uri, "plan"), PLAN, columns=["candidate_id", "teacher", "bucket"])
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, teacher, bucket in zip(*(column.to_pylist() for column in table.columns), strict=True):
        found[teacher, bucket].append(name)
    return dict(found)


def status_of(uri: str) -> list[dict[str, str | int]]:
    """Planned, made, failed and pending rows of a plan, finished or not, by teacher and bucket."""
    planned = planned_ids(uri)
    if storage.exists(storage.join(uri, storage.RECORD)):
        index = storage.read_table(
            storage.join(uri, INDEX), INDEXED, columns=["candidate_id", "teacher", "status"]
        )
        found: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for name, teacher, status in zip(*(column.to_pylist() for column in index.columns), strict=True):
            found[teacher][name] = status
        return summary(planned, found)
    return summary(planned, Durable(uri, sorted({teacher for teacher, _ in planned})).look())


def show_status(runs: str, plan: str | None) -> None:
    """Where the plan of that name stands; without a name, every plan that is not finished, or else the last one.

    Raises:
        UserError: there is no such plan.
    """
    places = [
        each
        for each in storage.listing(storage.join(runs, "plans"))
        if storage.exists(storage.join(each, PLAN_FILE))
    ]
    unfinished = [each for each in places if not storage.exists(storage.join(each, storage.RECORD))]
    if plan:
        shown = [each for each in places if each.rsplit("/", 1)[1].startswith(plan)]
    else:
        shown = unfinished or [each.uri for each in storage.find_records(runs, "plans")[-1:]]
    if not shown:
        raise UserError(f"{storage.join(runs, 'plans')} holds no plan {plan or ''}".strip())
    for uri in shown:
        rows = status_of(uri)
        columns = ("planned", "made", "failed", "pending")
        state = "is not finished" if uri in unfinished else "is finished"
        table = Table("teacher", "bucket", *columns, title=f"plan {uri.rsplit('/', 1)[1]} {state}")
        for row in rows:
            table.add_row(*(str(row[name]) for name in ("teacher", "bucket", *columns)))
        totals = [str(sum(int(row[name]) for row in rows)) for name in columns]
        table.add_row("all", "", *totals, style="bold")
        console.print(table)


@contextmanager
def watching(uri: str, plan: Plan) -> Iterator[None]:
    """Shows how far the plan has come, off storage, until the block ends."""
    ended = Event()
    thread = Thread(target=_watch, args=(uri, plan, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(uri: str, plan: Plan, ended: Event) -> None:
    durable = Durable(uri, plan.teachers)
    pace = Pace(rows_per_block(len(plan.rows) // len(plan.teachers), BATCH_SIZE))
    form = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
    bar = tqdm(total=len(plan.rows), desc="candidates", bar_format=form, unit="candidate")
    patient = not bar.fp.isatty()
    with bar:
        last = monotonic()
        while True:
            started = monotonic()
            found = durable.look()
            done = sum(map(len, found.values()))
            pace.add(started, done)
            failed = sum(status == "failed" for rows in found.values() for status in rows.values())
            left = pace.remaining(started, len(plan.rows) - done)
            bar.n = done
            bar.set_postfix_str(
                ", ".join(f"{name} {len(rows)}" for name, rows in found.items())
                + (f", {failed} failed" if failed else "")
                + f", left: {left or 'not known yet'}",
                refresh=False,
            )
            if not patient or started - last >= LINE_EVERY or ended.is_set():
                bar.refresh()
                last = started
            if ended.wait(max(LOOK_EVERY, (monotonic() - started) / LOOK_SHARE)) and done == len(plan.rows):
                return
            if ended.is_set() and done < len(plan.rows):
                # one last look, so that the bar ends where the plan does
                bar.n = sum(map(len, durable.look().values()))
                bar.refresh()
                return


def source_of(runs: str, plan: storage.Artifact) -> Plan:
    """The plan with all the prompts and stickers that a plan, through budgets and regenerations, goes back to."""
    while before := plan.record.get("continues") or plan.record.get("supersedes"):
        plan = storage.find_record(runs, "plans", before)
    return load_plan(plan.uri)


def budgeted(
    runs: str,
    source: Plan,
    cells: Sequence[Cell],
    ensemble: Sequence[PlannedTeacher],
    seconds: float,
    floor: float,
    seed: int,
) -> Plan:
    """A plan of new candidates for as many seconds: every cell's share, of its stickers in turn, with new noise.

    Raises:
        UserError: nobody has judged any candidate.
    """
    if not any(each.judged for each in cells):
        raise UserError(
            "nobody has judged a candidate, so nothing is known of what is kept; run experiments/simulate.py first"
        )
    there = {(each.name, row.bucket) for each in ensemble for row in source.prompts}
    some = [each for each in cells if each.name in there and each.made]
    for teacher, bucket in sorted(there - {each.name for each in some}):
        console.print(
            f"[yellow]{teacher} in bucket {escape(bucket)} gets nothing: it has made none there yet, so nothing is "
            "known of what one costs"
        )
    counts = allocate(some, seconds, floor=floor, seed=seed)
    show_allocation(some, counts, seconds)
    known = {name for plan in storage.find_records(runs, "plans") for name in ids_of(plan.uri)}
    return with_rows(
        source, ensemble, {each.name: count for each, count in zip(some, counts, strict=True)}, known, seed
    )


def ids_of(uri: str) -> list[str]:
    """The ids of a plan's own rows."""
    return [name for names in planned_ids(uri).values() for name in names]


def show_allocation(cells: Sequence[Cell], counts: Sequence[int], seconds: float) -> None:
    table = Table(
        "teacher", "bucket", "judged", "kept", "s/candidate", "s/kept", "candidates now", "of the budget",
        title=f"{seconds:.0f} s laid out by what was kept",
    )  # fmt: skip
    for each, count in zip(cells, counts, strict=True):
        price = each.seconds_per_kept
        table.add_row(
            each.teacher, each.bucket, str(each.judged), str(each.kept), f"{each.seconds_each:.2f}",
            "not judged" if price is None else f"{price:.1f}", str(count), f"{count * each.seconds_each / seconds:.0%}",
        )  # fmt: skip
    console.print(table)
