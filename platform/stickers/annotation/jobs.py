"""What a person judges at a time: six candidates of a prompt, of different pictures and teachers.

The rest of a prompt fills the next job, so every clip is in a job at once. Clips that the automatic checks flag come
last, within their prompt and in the queue; people see them all the same and are not told. A job's id is a hash of what
it shows, so building jobs twice gives the same jobs. Nothing in a job depends on a teacher's name: if teachers swapped
their names, nobody who judges would see a difference.
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
#: of the random number that decides the place of a clip for a person; two clips hardly ever draw the same
DRAW_BYTES = 4
CHOOSE, GOLD, RULING = "choose", "gold", "ruling"
Policy = Literal["mixed", "stratified"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Some clips for a person to judge, named by `candidates` and `digests`, each with its prompt, frames and fps.

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
        """The indices of the clips in the order in which a person sees them."""
        count = len(self.candidates)
        draws = shake_128(f"{self.job_id} {person}".encode()).digest(DRAW_BYTES * count)
        return sorted(range(count), key=lambda index: draws[DRAW_BYTES * index : DRAW_BYTES * (index + 1)])


def build_jobs(
    candidates: Iterable[Candidate],
    *,
    plan_id: str,
    round_number: int,
    clips_per_job: int = CLIPS_PER_JOB,
    policy: Policy = "mixed",
    kind: str = CHOOSE,
) -> list[Job]:
    """Jobs over every made candidate of a plan, those it took over from another plan included, each in exactly one job.

    Args:
        policy: how the clips of a prompt are divided among its jobs. `mixed` varies teacher and picture within a job.
            `stratified` puts clips with about the same motion into a job, because people who can choose prefer the
            clip that moves least and is least likely to be wrong.

    Raises:
        UserError: a job would show no clip, or no candidate was made.
    """
    if clips_per_job < 1:
        raise UserError(f"a job shows at least 1 clip, got {clips_per_job}")
    by_prompt: defaultdict[str, list[Candidate]] = defaultdict(list)
    for row in sorted(candidates, key=lambda row: row.candidate_id):
        if row.clip_digest is not None:
            by_prompt[row.prompt].append(row)
    arrange = ARRANGED[policy]
    queue = [row for prompt in sorted(by_prompt) for row in _plain_first(by_prompt[prompt], arrange)]
    if not queue:
        raise UserError("there is no made candidate to choose from")
    shown = [queue[i : i + clips_per_job] for i in range(0, len(queue), clips_per_job)]
    shown.sort(key=lambda rows: sum(bool(flags_of(row)) for row in rows))
    return [job_of(rows, plan_id, round_number, kind) for rows in shown]


def _plain_first(
    candidates: list[Candidate], arrange: Callable[[list[Candidate]], list[Candidate]]
) -> list[Candidate]:
    plain = [row for row in candidates if not flags_of(row)]
    return [*arrange(plain), *arrange([row for row in candidates if flags_of(row)])]


def mixed(candidates: list[Candidate]) -> list[Candidate]:
    """Candidates in an order in which neighbours differ in teacher and picture as far as possible."""
    cells: defaultdict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for row in candidates:
        cells[row.teacher, row.sticker_id].append(row)
    # ordered by the ids of their first clips, never by their names
    teachers = list(dict.fromkeys(row.teacher for row in candidates))
    pictures = sorted({sticker for _, sticker in cells})
    # along a diagonal of the teacher x picture grid, both change at every step
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
    """Candidates by motion, so that those shown together move about as much."""
    return sorted(candidates, key=lambda row: (row.motion_score or 0.0, row.candidate_id))


ARRANGED: Mapping[str, Callable[[list[Candidate]], list[Candidate]]] = {
    "mixed": mixed,
    "stratified": stratified,
}


def job_of(rows: list[Candidate], plan_id: str, round_number: int, kind: str = CHOOSE) -> Job:
    """The job that shows these candidates."""
    shown = [(row.candidate_id, str(row.clip_digest)) for row in rows]
    identity = ("job", plan_id, round_number, shown)
    return Job(
        job_id=content_id(*identity) if kind == CHOOSE else content_id(*identity, kind),
        plan_id=plan_id,
        round=round_number,
        candidates=tuple(row.candidate_id for row in rows),
        digests=tuple(str(row.clip_digest) for row in rows),
        prompts=tuple(row.prompt for row in rows),
        frames=tuple(row.num_frames for row in rows),
        fps=tuple(row.fps for row in rows),
        kind=kind,
    )


def group_by_plan(
    rows: Iterable[Candidate], jobs: Iterable[Job], round_number: int
) -> dict[str, list[Candidate]]:
    """Candidates by the plan whose jobs showed them in a round; those that no job showed are left out."""
    plan_of = {clip: job.plan_id for job in jobs if job.round == round_number for clip in job.clips}
    groups: defaultdict[str, list[Candidate]] = defaultdict(list)
    for row in rows:
        plan_id = plan_of.get((row.candidate_id, str(row.clip_digest)))
        if plan_id:
            groups[plan_id].append(row)
    return dict(groups)
