"""What one person is asked at a time: six of a prompt's candidates, of both pictures and different teachers.

The remainder of a prompt fills the next job, so no clip waits for company. Clips against which the automatic checks
speak come last, those of a prompt and the jobs that show them; every clip is shown all the same, and nobody who judges
is told. Jobs are named by what they show; building them twice gives the same jobs. Nothing of a job follows from a
teacher's name, so that names could change places and nobody who judges would see a difference.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import shake_128
from typing import Literal, get_args

from stickers.artifacts.ids import content_id
from stickers.artifacts.records import Candidate
from stickers.candidates.scoring import flags_of
from stickers.errors import UserError

CLIPS_PER_JOB = 6
CHOOSE, GOLD, RULING = "choose", "gold", "ruling"
Policy = Literal["mixed", "stratified"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


@dataclass(frozen=True, kw_only=True)
class Job:
    """`candidates` and `digests` name the clips shown; of each, `prompts`, `frames` and `fps` say how it is shown.

    `kind` is choose, gold (the right answer is known) or ruling (a lead decides what others disagree about).
    """

    job_id: str
    plan_id: str
    round: int
    candidates: tuple[str, ...]
    digests: tuple[str, ...]
    prompts: tuple[str, ...]
    frames: tuple[int, ...]
    fps: tuple[int, ...]
    kind: str = CHOOSE

    @property
    def clips(self) -> list[tuple[str, str]]:
        """(candidate id, clip digest) of each clip."""
        return list(zip(self.candidates, self.digests, strict=True))

    def order_for(self, person: str) -> list[int]:
        """The places of the clips in the order in which one person sees them."""
        count = len(self.candidates)
        draws = shake_128(f"{self.job_id} {person}".encode()).digest(4 * count)
        return sorted(range(count), key=lambda place: draws[4 * place : 4 * place + 4])


def build_jobs(
    candidates: Iterable[Candidate],
    *,
    plan_id: str,
    round: int,
    clips_per_job: int = CLIPS_PER_JOB,
    policy: Policy = "mixed",
    kind: str = CHOOSE,
) -> list[Job]:
    """Jobs over every made candidate of a plan, those that it took over from another included, each in exactly one.

    Args:
        policy: how a prompt's clips are parted among its jobs. `mixed` lets neighbours differ in teacher and picture;
            `stratified` shows clips that move about as much side by side, since people are known to prefer the
            one that moves least and is least likely to be wrong, when they are given the choice.

    Raises:
        UserError: the job size is below one, or nothing was made.
    """
    if clips_per_job < 1:
        raise UserError(f"a job shows at least 1 clip, got {clips_per_job}")
    by_prompt: defaultdict[str, list[Candidate]] = defaultdict(list)
    for each in sorted(candidates, key=lambda row: row.candidate_id):
        if each.clip_digest is not None:
            by_prompt[each.prompt].append(each)
    arrange = ARRANGED[policy]
    queue = [each for prompt in sorted(by_prompt) for each in _plain_first(by_prompt[prompt], arrange)]
    if not queue:
        raise UserError("there is no made candidate to choose from")
    shown = [queue[i : i + clips_per_job] for i in range(0, len(queue), clips_per_job)]
    shown.sort(key=lambda rows: sum(bool(flags_of(each)) for each in rows))
    return [job_of(rows, plan_id, round, kind) for rows in shown]


def _plain_first(
    candidates: list[Candidate], arrange: Callable[[list[Candidate]], list[Candidate]]
) -> list[Candidate]:
    plain = [each for each in candidates if not flags_of(each)]
    return [*arrange(plain), *arrange([each for each in candidates if flags_of(each)])]


def mixed(candidates: list[Candidate]) -> list[Candidate]:
    """Candidates reordered so that neighbours differ in teacher and in picture as far as possible."""
    cells: defaultdict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for each in candidates:
        cells[each.teacher, each.sticker_id].append(each)
    # in the order of their first clips' ids, never of teachers' names
    teachers = list(dict.fromkeys(each.teacher for each in candidates))
    pictures = sorted({sticker for _, sticker in cells})
    # Along each diagonal of the teacher x picture grid both change at every step.
    diagonals = [
        (teacher, pictures[(i + shift) % len(pictures)])
        for shift in range(len(pictures))
        for i, teacher in enumerate(teachers)
    ]
    longest = max(map(len, cells.values()), default=0)
    return [
        cells[cell][turn] for turn in range(longest) for cell in diagonals if turn < len(cells.get(cell, ()))
    ]


def stratified(candidates: list[Candidate]) -> list[Candidate]:
    """Candidates in the order of their motion, so that those shown together move about as much."""
    return sorted(candidates, key=lambda row: (row.motion_score or 0.0, row.candidate_id))


ARRANGED: Mapping[str, Callable[[list[Candidate]], list[Candidate]]] = {
    "mixed": mixed,
    "stratified": stratified,
}


def job_of(rows: list[Candidate], plan_id: str, round: int, kind: str = CHOOSE) -> Job:
    """The job that shows these candidates."""
    shown = [(row.candidate_id, str(row.clip_digest)) for row in rows]
    named = ("job", plan_id, round, shown) if kind == CHOOSE else ("job", plan_id, round, shown, kind)
    return Job(
        job_id=content_id(*named),
        plan_id=plan_id,
        round=round,
        candidates=tuple(row.candidate_id for row in rows),
        digests=tuple(str(row.clip_digest) for row in rows),
        prompts=tuple(row.prompt for row in rows),
        frames=tuple(row.num_frames for row in rows),
        fps=tuple(row.fps for row in rows),
        kind=kind,
    )
