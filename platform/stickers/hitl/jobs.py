"""What one person is asked at a time: six of a prompt's candidates, of both pictures and different teachers.

The remainder of a prompt fills the next job, so no clip waits for company. Clips against which the automatic checks
speak come last, those of a prompt and the jobs that show them; every clip is shown all the same, and nobody who judges
is told. Jobs are named by what they show; building them twice gives the same jobs.
"""

from collections import defaultdict
from dataclasses import dataclass

from stickers.artifacts import Candidate, content_id
from stickers.hitl.scoring import flags_of

CLIPS_PER_JOB = 6


@dataclass(frozen=True, kw_only=True)
class Job:
    """`candidates` and `digests` name the clips shown, in order; `prompts` is the prompt of each."""

    job_id: str
    plan_id: str
    round: int
    candidates: tuple[str, ...]
    digests: tuple[str, ...]
    prompts: tuple[str, ...]


def build_jobs(
    candidates: list[Candidate], *, plan_id: str, round: int, clips_per_job: int = CLIPS_PER_JOB
) -> list[Job]:
    """Jobs over every made candidate of a plan, those that it took over from another included, each in exactly one.

    Raises:
        ValueError: the job size is below one, or nothing was made.
    """
    if clips_per_job < 1:
        raise ValueError(f"a job shows at least 1 clip, got {clips_per_job}")
    by_prompt: defaultdict[str, list[Candidate]] = defaultdict(list)
    for each in sorted(candidates, key=lambda row: row.candidate_id):
        if each.clip_digest is not None:
            by_prompt[each.prompt].append(each)
    queue = [each for prompt in sorted(by_prompt) for each in _plain_first(by_prompt[prompt])]
    if not queue:
        raise ValueError("there is no made candidate to choose from")
    shown = [queue[i : i + clips_per_job] for i in range(0, len(queue), clips_per_job)]
    shown.sort(key=lambda rows: sum(bool(flags_of(each)) for each in rows))
    return [_job(rows, plan_id, round) for rows in shown]


def _plain_first(candidates: list[Candidate]) -> list[Candidate]:
    plain = [each for each in candidates if not flags_of(each)]
    return [*mixed(plain), *mixed([each for each in candidates if flags_of(each)])]


def mixed(candidates: list[Candidate]) -> list[Candidate]:
    """Candidates reordered so that neighbours differ in teacher and in picture as far as possible."""
    if not candidates:
        return []
    cells: defaultdict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for each in candidates:
        cells[each.teacher, each.sticker_id].append(each)
    teachers, pictures = sorted({t for t, _ in cells}), sorted({s for _, s in cells})
    # Along each diagonal of the teacher x picture grid both change at every step.
    diagonals = [
        (teacher, pictures[(i + shift) % len(pictures)])
        for shift in range(len(pictures))
        for i, teacher in enumerate(teachers)
    ]
    longest = max(len(rows) for rows in cells.values())
    return [
        cells[cell][turn] for turn in range(longest) for cell in diagonals if turn < len(cells.get(cell, ()))
    ]


def _job(rows: list[Candidate], plan_id: str, round: int) -> Job:
    shown = [(row.candidate_id, str(row.clip_digest)) for row in rows]
    return Job(
        job_id=content_id("job", plan_id, round, shown),
        plan_id=plan_id,
        round=round,
        candidates=tuple(row.candidate_id for row in rows),
        digests=tuple(str(row.clip_digest) for row in rows),
        prompts=tuple(row.prompt for row in rows),
    )
