"""Label Studio's JSON: one task a job, one annotation a vote (its documentation, "Label Studio JSON format of annotated
tasks").

Label Studio keeps a task's `data` and an annotation's `result` as they come, and replaces the rest by its own. So what
it has no place for travels there: the job in `data.job`, the vote in the `meta` of its choices. An annotation made in
Label Studio has no such `meta` and becomes a vote by what it does have. `completed_by` is an e-mail, because Label
Studio takes nothing else by which it could find a person; it puts a number of its own there.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from stickers.errors import UserError

#: the labelling interface that fits the tasks: any number of a job's clips, by candidate id
LABEL_CONFIG = """<View>
  <Text name="prompt" value="$prompt"/>
  <Choices name="picks" toName="prompt" choice="multiple" value="$clips"/>
</View>"""
#: fields of a vote that are written elsewhere than in `meta`
_ELSEWHERE = ("picks", "job_id", "plan_id", "round")


def tasks_of_jobs(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks without annotations, of jobs as JSON values."""
    return [{"data": _data(job), "annotations": []} for job in jobs]


def tasks_of_votes(votes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks with an annotation a vote, of votes as JSON values, in the order in which jobs first come."""
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
    """The place of each task, and its job's fields or the UserError that it is none."""
    for where, task in _tasks(tasks):
        try:
            yield where, _job(task)
        except UserError as error:
            yield where, error


def votes_in(tasks: list[Any]) -> Iterator[tuple[str, Any]]:
    """The place of each annotation, and its vote's fields or the UserError that it is none."""
    for where, task in _tasks(tasks):
        try:
            job, annotations = _job(task), task.get("annotations", [])
            if not isinstance(annotations, list):
                raise UserError("field annotations must be a list")
        except UserError as error:
            yield where, error
            continue
        for number, each in enumerate(annotations, 1):
            try:
                yield f"{where}, annotation {number}", _vote(job, _object("annotation", each))
            except UserError as error:
                yield f"{where}, annotation {number}", error


def _tasks(tasks: list[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"task {number}", task) for number, task in enumerate(tasks, 1))


def _object(name: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise UserError(f"field {name} is missing or is no object")
    return given


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
            raise UserError(f"field meta.vote.{mixed[0]} stands elsewhere in Label Studio's JSON")
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
    """What was picked, and the vote's own fields where the annotation brings them; an empty result is no pick."""
    if not isinstance(result, list):
        raise UserError("field result must be a list")
    for each in result:
        if not isinstance(each, dict) or each.get("type") != "choices" or each.get("from_name") != "picks":
            raise UserError("field result holds something else than the choices named picks")
    if len(result) > 1:
        raise UserError("field result holds the choices twice")
    if not result:
        return [], None
    meta = result[0].get("meta")
    own = _object("meta.vote", meta["vote"]) if isinstance(meta, dict) and "vote" in meta else None
    return _object("value", result[0].get("value")).get("choices", []), own


def _person(completed_by: Any) -> str:
    """Label Studio writes a person's number, or an object with number and e-mail."""
    given = completed_by
    if isinstance(given, dict):
        given = given.get("email") or given.get("id")
    if isinstance(given, bool) or not isinstance(given, int | str) or given == "":
        raise UserError("field completed_by must be a person's number, or an object with e-mail or number")
    return str(given)


def _before(submitted: Any, seconds: Any) -> str:
    try:
        return (datetime.fromisoformat(submitted) - timedelta(seconds=seconds or 0)).isoformat()
    except (TypeError, ValueError, OverflowError):
        raise UserError("fields updated_at and lead_time must be a time and a number of seconds") from None
