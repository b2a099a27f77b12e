"""Gold jobs: clips whose right answer is known, mixed among the others to measure how well people judge."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from stickers.annotation.jobs import GOLD, build_jobs
from stickers.annotation.rounds import read_settings
from stickers.annotation.settings import Settings
from stickers.annotation.store.filing import add_jobs
from stickers.annotation.store.people import note
from stickers.annotation.tally import verdicts
from stickers.artifacts.records import Candidate, Vote
from stickers.errors import UserError

#: characters of an unknown id that an error repeats
ID_SHOWN = 40


def plant_gold(
    connection: Connection,
    plan_id: str,
    answers: Mapping[str, bool],
    candidates: Mapping[str, Candidate],
    by: str,
) -> int:
    """Build jobs of clips whose right answer is known; returns how many are new.

    Args:
        answers: whether a clip is worth sharing, by candidate id.
        candidates: of the plan, by id.

    Raises:
        UserError: a candidate is not one of the plan's.
    """
    strangers = sorted(set(answers) - set(candidates))
    if strangers:
        raise UserError(
            f"candidate {strangers[0][:ID_SHOWN]!r} is not one of plan {plan_id}; no gold was planted"
        )
    settings = read_settings(connection)
    rows = [candidates[name] for name in answers if candidates[name].clip_digest is not None]
    gold_jobs = build_jobs(
        rows, plan_id=plan_id, round_number=1, clips_per_job=settings.clips_per_job, kind=GOLD
    )
    right = {job.job_id: [name for name in job.candidates if answers[name]] for job in gold_jobs}
    num_new = add_jobs(connection, gold_jobs, 0, right=right)
    note(connection, by, "gold planted", {"plan_id": plan_id, "jobs": num_new})
    return num_new


def agreed(votes: Sequence[Vote], settings: Settings) -> dict[str, bool]:
    """The clips that everybody judged the same way, by candidate id.

    False where the whole first round rejected a clip, True where everybody in every round picked it.
    """
    answers: dict[str, bool] = {}
    by_round = [verdicts(votes, number, rules) for number, rules in enumerate(settings.rounds, 1)]
    for clip, first in by_round[0].items():
        if first.judged and not first.flags and not first.yes:
            answers[clip[0]] = False
        elif all(
            clip in of_round and of_round[clip].judged and not of_round[clip].no for of_round in by_round
        ):
            answers[clip[0]] = True
    return answers


def balanced(answers: Mapping[str, bool], most: int) -> dict[str, bool]:
    """At most `most` of the clips, as many worth sharing as not, in alternating order."""
    good, bad = (sorted(name for name in answers if answers[name] == share) for share in (True, False))
    half = min(len(good), len(bad), most // 2)
    return {name: answers[name] for pair in zip(good[:half], bad[:half], strict=True) for name in pair}
