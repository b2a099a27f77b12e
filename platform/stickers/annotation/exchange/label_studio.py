"""Label Studio's JSON: a task for every job and an annotation for every vote (its documentation, "Label Studio JSON
format of annotated tasks").

Label Studio keeps a task's `data` and an annotation's `result` unchanged and replaces everything else. So fields that
its format lacks are stored there: the job in `data.job`, the vote in the `meta` of its choices. An annotation made in
Label Studio has no such `meta`; its vote is put together from the fields it has. `completed_by` is an e-mail address,
the only key by which Label Studio finds a person; on export it writes a number there.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from stickers.errors import UserError

#: the labelling interface for these tasks: any number of a job's clips, by candidate id
LABEL_CONFIG = """<View>
  <Text name="prompt" value="$prompt"/>
  <Choices name="picks" toName="prompt" choice="multiple" value="$clips"/>
</View>"""
#: fields of a vote that are not written in `meta`
_ELSEWHERE = ("picks", "job_id", "plan_id", "round")


def tasks_of_jobs(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks without annotations, from jobs as JSON values."""
    return [{"data": _data(job), "annotations": []} for job in jobs]


def tasks_of_votes(votes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks with an annotation for every vote, from votes as JSON values, in the order in which jobs first appear."""
    tasks: dict[tuple[Any, ...], dict[str, Any]] = {}
    for vote in votes:
        key = vote["plan_id"], vote["round"], vote["job_id"]
        if key not in tasks:
            job = {name: vote[name] for name in ("job_id", "plan_id", "round", "kind")}
            job |= {"candidates": vote["shown"], "digests": vote["shown_digests"]}
            tasks[key] = {"data": _data(job), "annotations": []}
        tasks[key]["annotations"].append(_annotation(vote))
    return list(tasks.values())


def _data(job: Mapping[str, Any]) -> dict[str, Any]:
    prompts = list(dict.fromkeys(job.get("prompts", ())))
    clips = [{"value": name} for name in job["candidates"]]
    return {"prompt": "; ".join(prompts), "clips": clips, "job": dict(job)}


def _annotation(vote: Mapping[str, Any]) -> dict[str, Any]:
    started, submitted = (datetime.fromisoformat(vote[name]) for name in ("started_at", "submitted_at"))
    return {
        "completed_by": {"email": vote["annotator"]},
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": vote["submitted_at"],
        "updated_at": vote["submitted_at"],
        "lead_time": (submitted - started).total_seconds(),
        "result": [
            {
                "id": "picks",
                "from_name": "picks",
                "to_name": "prompt",
                "type": "choices",
                "value": {"choices": vote["picks"]},
                "meta": {"vote": {name: value for name, value in vote.items() if name not in _ELSEWHERE}},
            }
        ],
    }


def jobs_in(tasks: list[Any]) -> Iterator[tuple[str, Any]]:
    """For each task its number, and its job's fields or the UserError that says what is wrong."""
    for where, task in _tasks(tasks):
        try:
            yield where, _job(task)
        except UserError as error:
            yield where, error


def votes_in(tasks: list[Any]) -> Iterator[tuple[str, Any]]:
    """For each annotation its number, and its vote's fields or the UserError that says what is wrong."""
    for where, task in _tasks(tasks):
        try:
            job, annotations = _job(task), task.get("annotations", [])
            if not isinstance(annotations, list):
                raise UserError("field annotations must be a list")
        except UserError as error:
            yield where, error
            continue
        for number, annotation in enumerate(annotations, 1):
            try:
                yield f"{where}, annotation {number}", _vote(job, _object("annotation", annotation))
            except UserError as error:
                yield f"{where}, annotation {number}", error


def _tasks(tasks: list[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"task {number}", task) for number, task in enumerate(tasks, 1))


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"field {name} is missing or is not an object")
    return value


def _job(task: Any) -> dict[str, Any]:
    return _object("data.job", _object("data", _object("task", task).get("data")).get("job"))


def _vote(job: Mapping[str, Any], annotation: Mapping[str, Any]) -> dict[str, Any]:
    if annotation.get("was_cancelled"):
        raise UserError("field was_cancelled is true: the task was skipped")
    picks, meta = _choices(annotation.get("result"))
    base = {name: job[name] for name in ("job_id", "plan_id", "round") if name in job}
    base |= {"picks": picks}
    if meta is not None:
        mixed = [name for name in meta if name in _ELSEWHERE]
        if mixed:
            raise UserError(
                f"field meta.vote.{mixed[0]} is not accepted there; it belongs to the task or its choices"
            )
        return {**meta, **base}
    submitted, seconds = (
        annotation.get("updated_at") or annotation.get("created_at"),
        annotation.get("lead_time"),
    )
    shown = {
        "shown": job.get("candidates"),
        "shown_digests": job.get("digests"),
        "kind": job.get("kind", "choose"),
    }
    started = _before(submitted, seconds)
    base |= {"annotator": _person(annotation.get("completed_by"))}
    return {**base, **shown, "started_at": started, "submitted_at": submitted, "simulated": False}


def _choices(result: Any) -> tuple[list[Any], dict[str, Any] | None]:
    """The picks, and the vote's fields where the annotation has them; an empty result means no pick."""
    if not isinstance(result, list):
        raise UserError("field result must be a list")
    for choices in result:
        if (
            not isinstance(choices, dict)
            or choices.get("type") != "choices"
            or choices.get("from_name") != "picks"
        ):
            raise UserError("field result holds something other than the choices named picks")
    if len(result) > 1:
        raise UserError("field result holds the choices more than once")
    if not result:
        return [], None
    meta = result[0].get("meta")
    vote = _object("meta.vote", meta["vote"]) if isinstance(meta, dict) and "vote" in meta else None
    return _object("value", result[0].get("value")).get("choices", []), vote


def _person(completed_by: Any) -> str:
    """The person's e-mail address or number; Label Studio writes a number, or an object with both."""
    person = completed_by
    if isinstance(person, dict):
        person = person.get("email") or person.get("id")
    if isinstance(person, bool) or not isinstance(person, int | str) or person == "":
        raise UserError("field completed_by must be a person's number, or an object with e-mail or number")
    return str(person)


def _before(submitted: Any, seconds: Any) -> str:
    try:
        return (datetime.fromisoformat(submitted) - timedelta(seconds=seconds or 0)).isoformat()
    except (TypeError, ValueError, OverflowError):
        raise UserError("fields updated_at and lead_time must be a time and a number of seconds") from None
