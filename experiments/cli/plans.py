"""What is done with existing plans: watched while they are made, audited, made again in part, extended."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic

import ray
from rich.markup import escape
from rich.table import Table

from actors.cluster import connect
from actors.ensemble import BATCH_SIZE
from actors.screen import Bar, console, track
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

FAULTS_SHOWN = 40
#: seconds between two looks at a plan in the making, and the share of them that looking may take
LOOK_EVERY, LOOK_SHARE = 3.0, 0.1


def select(uri: str, expression: str) -> list[str]:
    """The ids of a finished plan's candidates that a filter selects.

    Raises:
        UserError: the filter is malformed or names an unknown column (see `stickers.candidates.filter`).
    """
    index = storage.read_table(storage.join(uri, INDEX), INDEXED)
    return sorted(matching(index, expression)["candidate_id"].to_pylist())


def root_of(uri: str) -> str:
    """The plan that a chain of regenerations began with; it holds all prompts and stickers."""
    before = storage.read_json(storage.join(uri, PLAN_FILE))["supersedes"]
    return root_of(storage.below(uri, f"../{before}")) if before else uri


def regenerated(
    old: storage.Artifact,
    expression: str,
    ensemble: Callable[[tuple[str, ...]], Sequence[PlannedTeacher]],
    reseed: int | None,
) -> Plan:
    """A plan that makes some candidates of a finished plan again, by their teachers as they are now.

    Args:
        expression: the filter that selects those candidates.
        ensemble: returns the planned teachers of the given names.
    """
    ids = set(select(old.uri, expression))
    source = load_plan(root_of(old.uri))
    pictured = {sticker.sticker_id for sticker in source.stickers}  # a withdrawn one is no longer there
    rows = [row for row in Candidates(old.uri) if row.candidate_id in ids and row.sticker_id in pictured]
    names = tuple(sorted({row.teacher for row in rows}))
    return regeneration(
        old.folder, rows, source.prompts, source.stickers, ensemble(names) if names else (), reseed=reseed
    )


def audit_plan(uri: str, *, decode: bool = True) -> int:
    """Check a finished plan against its rows and check every clip; returns 1 when there is a fault.

    Args:
        decode: see `audit_part`.
    """
    faults = audit_index(uri)
    with connect():
        look = ray.remote(audit_part)
        waiting = [look.remote(uri, *pending, decode=decode) for pending in parts_of(uri).items()]
        for task in track(waiting, "audit", unit="parts"):
            faults += ray.get(task)
    table = Table("candidate", "fault", "detail", title=f"faults of plan {uri.rsplit('/', 1)[1]}")
    for fault in faults[:FAULTS_SHOWN]:
        table.add_row(fault.candidate_id, fault.kind, escape(fault.detail))
    if faults:
        console.print(table)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(f.kind for f in faults).items()))
    console.print(f"{len(Candidates(uri))} candidates, {counts or 'no fault'}", highlight=False)
    return int(bool(faults))


def planned_ids(uri: str) -> dict[tuple[str, str], list[str]]:
    """The candidate ids of a plan's own rows, by teacher and bucket."""
    table = storage.read_table(storage.join(uri, "plan"), PLAN, columns=["candidate_id", "teacher", "bucket"])
    ids: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, teacher, bucket in zip(*(column.to_pylist() for column in table.columns), strict=True):
        ids[teacher, bucket].append(name)
    return dict(ids)


def status_of(uri: str) -> list[dict[str, str | int]]:
    """Planned, made, failed and pending rows of a plan, finished or not, by teacher and bucket."""
    planned = planned_ids(uri)
    if storage.exists(storage.join(uri, storage.RECORD)):
        index = storage.read_table(
            storage.join(uri, INDEX), INDEXED, columns=["candidate_id", "teacher", "status"]
        )
        statuses: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for name, teacher, status in zip(*(column.to_pylist() for column in index.columns), strict=True):
            statuses[teacher][name] = status
        return summary(planned, statuses)
    return summary(planned, Durable(uri, sorted({teacher for teacher, _ in planned})).look())


def show_status(runs: str, plan: str | None) -> None:
    """Print how far the plan of that name is; without a name every unfinished plan, or else the last one.

    Raises:
        UserError: there is no such plan.
    """
    plans = [
        uri
        for uri in storage.listing(storage.join(runs, "plans"))
        if storage.exists(storage.join(uri, PLAN_FILE))
    ]
    unfinished = [uri for uri in plans if not storage.exists(storage.join(uri, storage.RECORD))]
    if plan:
        shown = [uri for uri in plans if uri.rsplit("/", 1)[1].startswith(plan)]
    else:
        shown = unfinished or [record.uri for record in storage.find_records(runs, "plans")[-1:]]
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
    """Show how far the plan is, as its storage shows it, until the block ends."""
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
    statuses = durable.look()
    total, num_done = len(plan.rows), sum(map(len, statuses.values()))
    with Bar("candidates", total, "candidates", done=num_done, pace=pace) as bar:
        while not ended.is_set() or num_done < total:
            is_last, started = ended.is_set(), monotonic()
            statuses = durable.look()
            num_done = sum(map(len, statuses.values()))
            bar.update(num_done, _made_by_teacher(statuses))
            if is_last:  # so that the bar ends where the plan does
                return
            ended.wait(max(LOOK_EVERY, (monotonic() - started) / LOOK_SHARE))


def _made_by_teacher(statuses: Mapping[str, Mapping[str, str]]) -> str:
    """How many candidates each teacher has made, and how many failed."""
    num_failed = sum(status == "failed" for rows in statuses.values() for status in rows.values())
    parts = [f"{name} {len(rows)}" for name, rows in statuses.items()]
    return ", ".join([*parts, *([f"{num_failed} failed"] if num_failed else [])])


def source_of(runs: str, plan: storage.Artifact) -> Plan:
    """The plan with all prompts and stickers from which budgets and regenerations led to this one."""
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
    """A plan of new candidates that take `seconds`: each cell's share of them, its stickers in turn, with new noise.

    Raises:
        UserError: nobody has judged any candidate.
    """
    if not any(cell.judged for cell in cells):
        raise UserError(
            "nobody has judged a candidate yet, so there is no keep rate to go by; run experiments/simulate.py first"
        )
    cells_there = {(teacher.name, row.bucket) for teacher in ensemble for row in source.prompts}
    priced = [cell for cell in cells if cell.name in cells_there and cell.made]
    for teacher, bucket in sorted(cells_there - {cell.name for cell in priced}):
        console.print(
            f"[yellow]{teacher} in bucket {escape(bucket)} gets nothing: it has made no candidate there yet, so its "
            "price is unknown"
        )
    counts = allocate(priced, seconds, floor=floor, seed=seed)
    show_allocation(priced, counts, seconds)
    known_ids = {name for plan in storage.find_records(runs, "plans") for name in ids_of(plan.uri)}
    return with_rows(
        source,
        ensemble,
        {cell.name: count for cell, count in zip(priced, counts, strict=True)},
        known_ids,
        seed,
    )


def ids_of(uri: str) -> list[str]:
    """The ids of a plan's own rows."""
    return [name for names in planned_ids(uri).values() for name in names]


def show_allocation(cells: Sequence[Cell], counts: Sequence[int], seconds: float) -> None:
    """Print how a budget is spread over the cells, beside what was kept of each."""
    table = Table(
        "teacher", "bucket", "judged", "kept", "s/candidate", "s/kept", "candidates now", "of the budget",
        title=f"{seconds:.0f} s spread by what was kept",
    )  # fmt: skip
    for cell, count in zip(cells, counts, strict=True):
        price = cell.seconds_per_kept
        table.add_row(
            cell.teacher, cell.bucket, str(cell.judged), str(cell.kept), f"{cell.seconds_each:.2f}",
            "not judged" if price is None else f"{price:.1f}", str(count), f"{count * cell.seconds_each / seconds:.0%}",
        )  # fmt: skip
    console.print(table)
