"""What goes out must come back as it was, and what comes from outside may be anything."""

import csv
import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stickers.annotation.exchange.vote_tables import FORMULA, read_jobs, read_votes, write_jobs, write_votes
from stickers.annotation.jobs import Job
from stickers.artifacts.records import Vote

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SUFFIXES = ("parquet", "csv", "json")
VOTE = Vote(
    job_id="j1",
    annotator="ana@example.org",
    round=1,
    plan_id="plan",
    shown=["a", "b", "c"],
    shown_digests=["da", "db", "dc"],
    picks=["a"],
    started_at=NOON,
    submitted_at=NOON + timedelta(seconds=7, microseconds=123456),
    simulated=False,
)
VOTES = [
    VOTE,
    replace(VOTE, annotator="ben", picks=[], flagged=["c", "a"], flags=["broken", "unsafe"], revision=3),
    replace(VOTE, annotator="cem", shown=["c", "a", "b"], shown_digests=["dc", "da", "db"], simulated=True),
    replace(VOTE, job_id="j2", kind="gold", picks=["b", "a"]),
    replace(VOTE, job_id="j3", round=2, kind="ruling"),
]
JOB = Job(
    job_id="j1",
    plan_id="plan",
    round=1,
    candidates=("a", "b", "c"),
    digests=("da", "db", "dc"),
    prompts=('a cat, "waving"\n', "a fox; 狐", ""),
    frames=(8, 8, 6),
    fps=(8, 4, 6),
)
JOBS = [JOB, replace(JOB, job_id="j2", kind="gold", candidates=("x", "y", "z"))]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_goes_out_comes_back(tmp_path: Path, suffix: str) -> None:
    file_path = str(tmp_path / f"votes.{suffix}")
    write_votes(file_path, VOTES)
    assert read_votes(file_path) == (VOTES, [])
    write_jobs(file_path, JOBS)
    assert read_jobs(file_path) == (JOBS, [])
    write_votes(file_path, [])
    assert read_votes(file_path) == ([], [])
    elsewhere = replace(VOTE, started_at=NOON.astimezone(timezone(timedelta(hours=-3))))
    write_votes(file_path, [elsewhere])
    assert read_votes(file_path) == ([VOTE], []), "the same instant"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("start", [*FORMULA, "'", "''", "'=", "\ufeff", '"', ",", " ="])
def test_no_cell_is_a_formula_and_none_is_changed(tmp_path: Path, suffix: str, start: str) -> None:
    nasty = f"{start}cmd|' /C calc'!A0, \"x\"\r\n;"
    votes = [replace(VOTE, annotator=nasty, plan_id=nasty, shown=[nasty, "b", "c"], picks=[nasty])]
    jobs = [replace(JOB, plan_id=nasty, prompts=(nasty, start, "-1"))]
    file_path = tmp_path / f"table.{suffix}"
    write_jobs(str(file_path), jobs)
    assert read_jobs(str(file_path)) == (jobs, [])
    write_votes(str(file_path), votes)
    assert read_votes(str(file_path)) == (votes, [])
    if suffix == "csv":
        with file_path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell.startswith(FORMULA)]


def test_a_csv_that_a_spreadsheet_saved_again(tmp_path: Path) -> None:
    file_path = tmp_path / "votes.csv"
    write_votes(str(file_path), [VOTE, VOTES[2]])
    text = file_path.read_text(encoding="utf-8").replace("true", "TRUE").replace("false", "FALSE")
    file_path.write_text("\ufeff" + text + "\n", encoding="utf-8")
    assert read_votes(str(file_path)) == ([VOTE, VOTES[2]], [])


def altered(file_path: Path, changes: dict[str, Any]) -> None:
    """Write three votes, the second with other values in its file."""
    write_votes(str(file_path), VOTES[:3])
    if file_path.suffix == ".csv":
        with file_path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        rows[1] |= {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in changes.items()
        }
        with file_path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        tasks = json.loads(file_path.read_text(encoding="utf-8"))
        result = tasks[0]["annotations"][1]["result"][0]
        picks = changes.pop("picks", None)
        result["meta"]["vote"] |= changes
        result["value"]["choices"] = result["value"]["choices"] if picks is None else picks
        file_path.write_text(json.dumps(tasks), encoding="utf-8")


@pytest.mark.parametrize("suffix", ["csv", "json"])
@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"picks": ["b", "z"]}, "picks", "'z', which shown does not"),
        ({"picks": ["c"]}, "picks", "'c', which is flagged"),
        ({"picks": "a"}, "picks", "list"),
        ({"picks": [1]}, "picks", "a text, got 1"),
        ({"picks": ["b", "b"]}, "picks", "twice"),
        ({"flagged": ["c"]}, "flags", "2 entries, flagged has 1"),
        ({"flags": ["broken", "ugly"]}, "flags", "unsafe, broken, got 'ugly'"),
        ({"shown_digests": ["da"]}, "shown_digests", "1 entries, shown has 3"),
        ({"kind": "test"}, "kind", "choose, gold, ruling, got 'test'"),
        ({"revision": -1}, "revision", "at least 0"),
        ({"revision": 1.5}, "revision", "whole number, got 1.5"),
        ({"revision": True}, "revision", "whole number"),
        ({"revision": 2**40}, "revision", "32 bits"),
        ({"simulated": "maybe"}, "simulated", "true or false"),
        ({"annotator": ""}, "annotator", "empty"),
        ({"shown": [], "shown_digests": []}, "shown", "empty"),
        ({"annotator": "a\0"}, "annotator", "no text"),
        ({"started_at": "2026-01-01T12:00:00"}, "started_at", "time with its zone"),
        ({"started_at": "soon"}, "started_at", "time with its zone, got 'soon'"),
        ({"started_at": "2027-01-01T12:00:00+00:00"}, "submitted_at", "before started_at"),
    ],
)  # fmt: skip
def test_a_malformed_row_is_refused_and_the_others_are_read(
    tmp_path: Path, suffix: str, changes: dict[str, Any], field: str, message: str
) -> None:
    file_path = tmp_path / f"votes.{suffix}"
    altered(file_path, dict(changes))
    votes, (refused,) = read_votes(str(file_path))
    assert votes == [VOTES[0], VOTES[2]]
    where = "row 3" if suffix == "csv" else "task 1, annotation 2"
    assert refused.reason.startswith(f"{file_path}, {where}: field {field} ") and message in refused.reason
    assert refused.uri == str(file_path) and refused.source == "Vote" and "\n" not in refused.reason


def test_rows_of_parquet_are_looked_at_too(tmp_path: Path) -> None:
    file_path = str(tmp_path / "votes.parquet")
    write_votes(file_path, VOTES[:2])
    rows = pq.read_table(file_path).to_pylist()
    rows[0]["round"] = None
    pq.write_table(pa.Table.from_pylist(rows), file_path)
    votes, (refused,) = read_votes(file_path)
    assert votes == [VOTES[1]] and "row 1: field round must hold a whole number, got None" in refused.reason


def test_jobs_are_looked_at(tmp_path: Path) -> None:
    file_path = str(tmp_path / "jobs.csv")
    wrong = [
        replace(JOB, fps=(8,)),
        replace(JOB, candidates=(), digests=(), prompts=(), frames=(), fps=()),
        replace(JOB, candidates=("a", "a", "b")),
        replace(JOB, round=0),
        replace(JOB, kind="other"),
    ]
    write_jobs(file_path, [*wrong, JOB])
    jobs, refused = read_jobs(file_path)
    assert jobs == [JOB] and len(refused) == len(wrong)
    for row, name in zip(refused, ("fps", "candidates", "candidates", "round", "kind"), strict=True):
        assert f"field {name} " in row.reason


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_older_tables_and_foreign_ones(tmp_path: Path, suffix: str) -> None:
    file_path = tmp_path / f"votes.{suffix}"
    later = {"kind", "revision", "flagged", "flags"}
    write_votes(str(file_path), [VOTE])
    if suffix == "csv":
        with file_path.open(newline="", encoding="utf-8") as file:
            row = next(csv.DictReader(file))
        file_path.write_text(
            table_of({k: v for k, v in row.items() if k not in later}), encoding="utf-8", newline=""
        )
    else:
        pq.write_table(pq.read_table(file_path).drop_columns(sorted(later)), file_path)
    assert read_votes(str(file_path)) == ([VOTE], [])
    if suffix == "csv":
        file_path.write_text(
            table_of({k: v for k, v in row.items() if k != "shown"} | {"score": "1"}), newline=""
        )
    else:
        pq.write_table(pq.read_table(file_path).rename_columns({"shown": "score"}), file_path)
    with pytest.raises(ValueError, match=r"columns \['shown'\] are missing and \['score'\] are not known"):
        read_votes(str(file_path))


def table_of(row: dict[str, str]) -> str:
    return "".join(
        ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\r\n"
        for cells in (row, row.values())
    )


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in .parquet, .csv or .json"):
        read_votes(str(tmp_path / "votes.xlsx"))
    with pytest.raises(ValueError, match="there is no table"):
        read_votes(str(tmp_path / "absent.csv"))
    for suffix, message in (("parquet", "no readable Parquet"), ("csv", "no CSV table"), ("json", "no JSON")):
        file_path = tmp_path / f"noise.{suffix}"
        file_path.write_bytes(b"\x00\xff\xfe[")
        with pytest.raises(ValueError, match=message):
            read_votes(str(file_path))
    for text in ("{}", "1", "null"):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(ValueError, match="list of tasks"):
            read_jobs(str(tmp_path / "other.json"))
    for text in ("[" * 100_000, "1" * 5000):
        (tmp_path / "deep.json").write_text(text)
        with pytest.raises(ValueError, match="no JSON"):
            read_jobs(str(tmp_path / "deep.json"))
    (tmp_path / "short.csv").write_text(",".join(column.name for column in fields(Job)) + "\r\na,b\r\n")
    assert "row 2: it has 2 fields" in read_jobs(str(tmp_path / "short.csv"))[1][0].reason


def label_studio_export(job: Job) -> list[dict[str, Any]]:
    """What Label Studio makes of a task of ours that two people annotated there and a third skipped: by its
    documentation, with what it adds."""
    extra = {"task": 1, "project": 83, "ground_truth": False, "result_count": 0, "parent_annotation": None}
    times = {"created_at": "2026-01-01T12:00:07.123456Z", "updated_at": "2026-01-01T12:00:07.123456Z"}
    picked = {
        "id": "Dx_aB91ISN", "from_name": "picks", "to_name": "prompt", "type": "choices", "origin": "manual",
        "value": {"choices": ["a", "c"]},
    }  # fmt: skip
    annotations = [
        {"id": 1, "completed_by": 10, "was_cancelled": False, "lead_time": 7.123456, "result": [picked]},
        {
            "id": 2,
            "completed_by": {"id": 11, "email": "ben@example.org"},
            "lead_time": 7.123456,
            "result": [],
        },
        {"id": 3, "completed_by": 12, "was_cancelled": True, "lead_time": 1.0, "result": []},
    ]
    values = {column.name: getattr(job, column.name) for column in fields(job)}
    data = {
        "prompt": "a cat",
        "clips": [{"value": candidate_id} for candidate_id in job.candidates],
        "job": values,
    }
    return [
        {
            "id": 1,
            "data": data,
            "meta": {},
            "drafts": [],
            "predictions": [],
            "annotations": [annotation | extra | times for annotation in annotations],
        }
    ]


def test_what_people_did_in_label_studio(tmp_path: Path) -> None:
    file_path = tmp_path / "export.json"
    file_path.write_text(json.dumps(label_studio_export(JOB)), encoding="utf-8")
    votes, refused = read_votes(str(file_path))
    assert votes == [
        replace(VOTE, annotator="10", picks=["a", "c"]),
        replace(VOTE, annotator="ben@example.org", picks=[]),
    ]
    assert "annotation 3: field was_cancelled is true" in refused[0].reason and len(refused) == 1
    assert read_jobs(str(file_path)) == ([JOB], [])


def test_a_vote_that_went_through_label_studio_keeps_its_person(tmp_path: Path) -> None:
    file_path = tmp_path / "votes.json"
    write_votes(str(file_path), [VOTE])
    tasks = json.loads(file_path.read_text(encoding="utf-8"))
    tasks[0]["annotations"][0] |= {"completed_by": 1, "updated_at": "2027-01-01T00:00:00Z"}
    file_path.write_text(json.dumps(tasks), encoding="utf-8")
    assert read_votes(str(file_path)) == ([VOTE], [])


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((), 3, "field task"),
        (("data",), None, "field data "),
        (("data", "job"), "j1", "field data.job "),
        (("annotations",), {}, "field annotations "),
        (("annotations", 0), None, "field annotation "),
        (("annotations", 0, "result"), None, "field result "),
        (("annotations", 0, "result", 0), {"type": "textarea"}, "field result "),
        (("annotations", 0, "result", 0, "value"), None, "field value "),
        (("annotations", 0, "completed_by"), None, "field completed_by "),
        (("annotations", 0, "lead_time"), "long", "lead_time"),
        (("annotations", 0, "updated_at"), "soon", "updated_at"),
        (("data", "job", "candidates"), None, "field shown "),
        (("data", "job", "job_id"), 7, "field job_id "),
    ],
)
def test_tasks_of_another_kind_are_refused(
    tmp_path: Path, path: tuple[Any, ...], value: Any, message: str
) -> None:
    tasks = json.loads(json.dumps(label_studio_export(JOB)))
    tasks[0]["annotations"] = tasks[0]["annotations"][:1]
    part: Any = tasks
    for step in (0, *path)[:-1]:
        part = part[step]
    part[(0, *path)[-1]] = value
    file_path = tmp_path / "export.json"
    file_path.write_text(json.dumps(tasks), encoding="utf-8")
    votes, refused = read_votes(str(file_path))
    assert votes == [] and len(refused) == 1
    assert refused[0].reason.startswith(f"{file_path}, task 1") and message in refused[0].reason
