"""Likely keepers first: a small model of what people keep orders the queue, and hides nothing.

The model sees how a clip moves, what its frames show, and its bucket. It does not see the teacher, the prompt's words,
the frame rate or the number of frames, by which teachers could be told apart. Otherwise a teacher with bad luck so far
would come last and never be judged, and the order would tell people whose clip they see.

A lead who stops before the end of such a queue wants to know what the rest holds. The order cannot tell, because it is
what the model believes. So a random slice of the jobs, the audit, takes positions that do not depend on the model.
Its jobs look like all others to the people who judge. The share of keepers in the slice is an unbiased estimate for the
rest.

An order covers the jobs that nobody has judged yet and is learned from the votes before it. It holds until a new order
of the remaining jobs is made, with a new slice. So no vote on a slice has trained the model that the slice checks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt
from statistics import NormalDist

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from stickers.annotation.jobs import Job
from stickers.artifacts.records import Candidate
from stickers.errors import UserError
from stickers.metrics.clip_checks import FLAGS
from stickers.prompts.sorting import BUCKETS

MEASURES = ("motion_score", "moving", "reversal", "pulse", "border", "saturated", "visible")
#: a model is only trained on this many decided clips, kept and rejected ones, and prompts with a decision
FEWEST_CLIPS, FEWEST_EACH, FEWEST_PROMPTS = 200, 20, 10
FOLDS = 5
#: more than the solver needs for these few features, so that it never stops early
MAX_ITERATIONS = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Ranker:
    """A model trained on the decisions about `trained_on` clips.

    `auc` is the chance that a kept clip scores higher than a rejected one, for prompts on which the model was not
    trained; 0.5 is no better than chance.
    """

    model: Pipeline
    trained_on: int
    auc: float

    def scores(self, candidates: Sequence[Candidate]) -> dict[str, float]:
        """The chance that people keep each clip, by candidate id; clips without measures have no score."""
        rows, features = _measured(candidates)
        if not rows:
            return {}
        chances = self.model.predict_proba(features)[:, 1]
        return {row.candidate_id: float(chance) for row, chance in zip(rows, chances, strict=True)}


def fit(
    candidates: Sequence[Candidate], kept: Mapping[str, bool], *, seed: int = 0
) -> tuple[Ranker | None, str]:
    """Learn what people keep.

    Args:
        candidates: those that are measured and decided are used.
        kept: whether people kept a clip, by candidate id; undecided clips are absent.
        seed: of the split into folds, by which the model is tested on prompts it was not trained on.

    Returns:
        The model and an empty text, or None and a sentence that says why.
    """
    rows, features = _measured([row for row in candidates if row.candidate_id in kept])
    answers = np.array([kept[row.candidate_id] for row in rows], bool)
    prompts = np.array([row.prompt for row in rows])
    missing = _missing(answers, prompts)
    if missing:
        return None, missing
    chances, tested = np.zeros(len(rows)), np.zeros(len(rows), bool)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(features, answers, prompts):
        if np.unique(answers[train]).size == 2:
            model = _new_model().fit(features[train], answers[train])
            chances[test] = model.predict_proba(features[test])[:, 1]
            tested[test] = True
    if np.unique(answers[tested]).size < 2:
        return None, "the clips that people kept have too few prompts to test a model on other prompts"
    auc = float(roc_auc_score(answers[tested], chances[tested]))
    return Ranker(model=_new_model().fit(features, answers), trained_on=len(rows), auc=auc), ""


def _missing(answers: np.ndarray, prompts: np.ndarray) -> str:
    for count, fewest, name in (
        (len(answers), FEWEST_CLIPS, "clips that people have decided about"),
        (int(answers.sum()), FEWEST_EACH, "clips that people kept"),
        (int((~answers).sum()), FEWEST_EACH, "clips that people rejected"),
        (len(np.unique(prompts)), FEWEST_PROMPTS, "prompts with a decision"),
    ):
        if count < fewest:
            return f"a model needs {fewest} {name}, there are {count}"
    return ""


def _new_model() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=MAX_ITERATIONS))


def _measured(candidates: Sequence[Candidate]) -> tuple[list[Candidate], np.ndarray]:
    """The candidates that have every measure, and their features `[N, F]`."""
    rows = [row for row in candidates if all(getattr(row, name) is not None for name in MEASURES)]
    features = [
        [
            *(float(getattr(row, name)) for name in MEASURES),
            *(float(getattr(row, name)) for name in FLAGS),
            *(float(row.bucket == bucket) for bucket in BUCKETS),
        ]
        for row in rows
    ]
    return rows, np.array(features).reshape(len(rows), len(MEASURES) + len(FLAGS) + len(BUCKETS))


@dataclass(frozen=True, kw_only=True)
class Queue:
    """Jobs in the order in which people judge them. `audit` has the ids of the random slice, `scores` are by job id."""

    jobs: tuple[Job, ...]
    audit: frozenset[str]
    scores: Mapping[str, float]


def order(jobs: Sequence[Job], scores: Mapping[str, float], audit_share: float, seed: int) -> Queue:
    """Put jobs with likely keepers first, and an audit slice of the jobs at random positions, evenly spread.

    The jobs of the slice and their positions depend on the jobs and the seed alone.

    Args:
        jobs: those not judged yet.
        scores: by candidate id; a clip without a score counts as an average one.
        audit_share: of the jobs, above 0 and up to 1; at least one job is in the slice.
        seed: a new one for every order, or the slices would repeat.

    Raises:
        UserError: the share is out of range, or a job appears twice.
    """
    if not 0 < audit_share <= 1:
        raise UserError(f"the audit slice is a share of the jobs above 0 and up to 1, got {audit_share}")
    by_id = {job.job_id: job for job in jobs}
    if len(by_id) < len(jobs):
        raise UserError("a job appears twice among the jobs to be ordered")
    job_scores = _job_scores(jobs, scores)
    rng, job_ids = np.random.default_rng(seed), sorted(by_id)
    num_audit = min(len(job_ids), max(1, round(audit_share * len(job_ids))))
    audit = [job_ids[i] for i in rng.permutation(len(job_ids))[:num_audit]]
    edges = np.linspace(0, len(job_ids), num_audit + 1).astype(int)
    positions = rng.integers(edges[:-1], edges[1:]).tolist() if job_ids else []
    audit_at = dict(zip(positions, audit, strict=True))
    others = iter(sorted(set(job_ids) - set(audit), key=lambda job_id: (-job_scores[job_id], job_id)))
    queue = [by_id[audit_at[i] if i in audit_at else next(others)] for i in range(len(job_ids))]
    return Queue(jobs=tuple(queue), audit=frozenset(audit), scores=job_scores)


def _job_scores(jobs: Sequence[Job], scores: Mapping[str, float]) -> dict[str, float]:
    """The mean score of a job's clips, by job id."""
    values = [scores[name] for job in jobs for name in job.candidates if name in scores]
    average = float(np.mean(values)) if values else 0.0
    return {
        job.job_id: float(np.mean([scores.get(name, average) for name in job.candidates])) for job in jobs
    }


@dataclass(frozen=True, kw_only=True)
class Missed:
    """The keepers that are lost if the rest of a queue is not judged.

    `audited` jobs of the audit slice were judged, and `kept` of their clips kept. `clips` is the expected number of
    keepers among the clips not judged, and `share` their share of all keepers. Intervals are 95 %. A figure is None
    where the slice cannot tell.
    """

    audited: int
    kept: int
    clips: float | None = None
    clips_interval: tuple[float, float] | None = None
    share: float | None = None
    interval: tuple[float, float] | None = None


def missed(queue: Queue, judged: Mapping[str, int], *, found_before: int = 0) -> Missed:
    """Estimate from the audit slice what the rest of a queue holds.

    The jobs are divided at the score down to which the queue was judged. Below it only jobs of the slice are judged,
    and they are a random sample of all jobs there. Above it the jobs not judged are those of the slice that come
    later, at random too. So on either side the mean of the judged clips is an unbiased estimate for the others, except
    for the one job at which the line is drawn. The interval of a side is Wilson's, with the number of independent
    clips that would tell as much, since the clips of one job tend to be kept or rejected together. The intervals of
    both sides are combined by Zou and Donner's rule (2008, "Construction of confidence limits about effect measures").

    Args:
        judged: how many clips were kept of each finished job, by its id; other jobs are ignored.
        found_before: clips kept of jobs that were judged before this order was made.
    """
    finished = [job for job in queue.jobs if job.job_id in judged]
    audit_kept = [judged[job.job_id] for job in finished if job.job_id in queue.audit]
    counts = Missed(audited=len(audit_kept), kept=sum(audit_kept))
    line = min((queue.scores[job.job_id] for job in finished if job.job_id not in queue.audit), default=inf)
    sides = [
        [job for job in queue.jobs if (queue.scores[job.job_id] < line) == below] for below in (True, False)
    ]
    estimates = [estimate for estimate in (_expected(side, judged) for side in sides) if estimate is not None]
    if len(estimates) < len(sides):
        return counts
    clips = sum(mean for mean, _, _ in estimates)
    low = max(0.0, clips - sqrt(sum((mean - least) ** 2 for mean, least, _ in estimates)))
    high = clips + sqrt(sum((most - mean) ** 2 for mean, _, most in estimates))
    num_kept = found_before + sum(judged[job.job_id] for job in finished)
    share, least, most = (
        number / (number + num_kept) if number + num_kept else None for number in (clips, low, high)
    )
    interval = None if least is None or most is None else (least, most)
    return replace(counts, clips=clips, clips_interval=(low, high), share=share, interval=interval)


def _expected(side: Sequence[Job], judged: Mapping[str, int]) -> tuple[float, float, float] | None:
    """Keepers among a side's jobs that are not judged: their expected, least and greatest number.

    None where no job of the side is judged.
    """
    num_left = sum(len(job.candidates) for job in side if job.job_id not in judged)
    sample = [job for job in side if job.job_id in judged]
    if not num_left:
        return 0.0, 0.0, 0.0
    if not sample:
        return None
    kept = np.array([judged[job.job_id] for job in sample], float)
    shown = np.array([len(job.candidates) for job in sample], float)
    rate = float(kept.sum() / shown.sum())
    # the clips not judged vary by chance too, and the fewer they are the more their rate does
    num_independent = 1 / (1 / float(shown.sum()) + 1 / num_left)
    low, high = _wilson(rate, num_independent / _clumping(kept, shown, rate))
    return num_left * rate, num_left * low, num_left * high


def _clumping(kept: np.ndarray, shown: np.ndarray, rate: float) -> float:
    """How many clips of a job tell as much as one independent clip: from 1 to all clips of a job."""
    most = float(shown.mean())
    if len(kept) < 2 or rate in (0.0, 1.0):
        return most
    variance_ratio = float(
        np.square(kept - rate * shown).sum() / (len(kept) - 1) / (rate * (1 - rate) * shown.mean())
    )
    return min(max(variance_ratio, 1.0), most)


def _wilson(rate: float, count: float) -> tuple[float, float]:
    """Wilson's interval of a rate; `count` need not be an integer."""
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    scale = 1 + z**2 / count
    middle = (rate + z**2 / (2 * count)) / scale
    margin = z / scale * sqrt(rate * (1 - rate) / count + z**2 / (2 * count) ** 2)
    return max(0.0, min(rate, middle - margin)), min(1.0, max(rate, middle + margin))
