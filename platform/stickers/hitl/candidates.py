"""The candidates of a plan on storage: what is durable, the finished table, and the counts that a summary shows."""

from collections import Counter, defaultdict

from stickers import store
from stickers.artifacts import CANDIDATES, Candidate, table_of
from stickers.hitl.generation import FAILED, MADE
from stickers.hitl.plan import Plan

COMPACTED = "compacted.parquet"
ROWS_PER_GROUP = 64


def durable_rows(out: str) -> list[Candidate]:
    """What is durable below `out`, one row an id."""
    place = store.join(out, "rows")
    if not any(each.endswith(".parquet") for each in store.listing(place, recursive=True)):
        return []
    rows = store.read_table(place, CANDIDATES).to_pylist()
    return [Candidate(**row) for row in {row["candidate_id"]: row for row in rows}.values()]


def compact(uri: str, plan: Plan, rows: list[Candidate]) -> None:
    """One file, sorted by candidate id, with exactly the planned ids; small row groups, so one clip is one read."""
    rows.sort(key=lambda row: row.candidate_id)
    assert [row.candidate_id for row in rows] == [row.candidate_id for row in plan.rows], (
        "not the planned ids"
    )
    table = table_of(rows, Candidate)
    store.write_table(store.join(uri, COMPACTED), table, CANDIDATES, rows_per_group=ROWS_PER_GROUP)


def read_candidates(uri: str) -> list[Candidate]:
    """All candidates of a finished plan, sorted by id. ValueError when the plan is not finished."""
    rows = store.read_table(store.join(uri, COMPACTED), CANDIDATES).to_pylist()
    return [Candidate(**row) for row in rows]


def counts_of(rows: list[Candidate]) -> list[dict[str, str | int | float]]:
    """Planned, made and failed by teacher and bucket, with the seconds spent."""
    status = Counter((row.teacher, row.bucket, row.status) for row in rows)
    seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
    for row in rows:
        seconds[row.teacher, row.bucket] += row.seconds
    return [
        {
            "teacher": teacher,
            "bucket": bucket,
            "planned": status[teacher, bucket, MADE] + status[teacher, bucket, FAILED],
            "made": status[teacher, bucket, MADE],
            "failed": status[teacher, bucket, FAILED],
            "seconds": round(seconds[teacher, bucket], 2),
        }
        for teacher, bucket in sorted(seconds)
    ]
