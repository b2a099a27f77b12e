"""Likely keepers first: a small model of what people keep orders the queue, and hides nothing.

It sees how a clip moves and what its frames show, and its bucket. It does not see who made the clip, nor the prompt's
words, nor frame rate and number of frames, by which teachers can be told apart: a teacher that was unlucky so far would
come last and so stay unjudged, and the order itself would tell people whose clip they see.

Whoever stops before the end of such a queue would like to know what is left in it. The order cannot say, because it is
what the model believes. So a random slice of the jobs, the audit, takes places that do not depend on the model; they
look like all others to whoever judges. What is kept in the slice says without bias what is kept in the rest.

An order is made of the jobs that nobody has judged yet, with votes given before; it stands until another one is made of
what is left then, with another slice. So no vote of a slice has trained the model that it is to check.
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
from stickers.metrics.checks import FLAGS
from stickers.prompts.sorting import BUCKETS

MEASURES = ("motion_score", "moving", "reversal", "pulse", "border", "saturated", "visible")
#: below which nothing is learned: clips decided, and of those kept and not kept; prompts with a decision
FEWEST_CLIPS, FEWEST_EACH, FEWEST_PROMPTS = 200, 20, 10
FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Ranker:
    """What was learned of `trained_on` clips. `auc` is the chance that of a kept and a rejected clip of prompts that
    the model was not trained on the kept one scores higher: 0.5 is no help at all."""

    model: Pipeline
    trained_on: int
    auc: float

    def scores(self, candidates: Sequence[Candidate]) -> dict[str, float]:
        """The chance that people keep each clip, by candidate id; clips that were never measured have none."""
        rows, features = _measured(candidates)
        if not rows:
            return {}
        found = self.model.predict_proba(features)[:, 1]
        return {row.candidate_id: float(each) for row, each in zip(rows, found, strict=True)}


def fit(
    candidates: Sequence[Candidate], kept: Mapping[str, bool], *, seed: int = 0
) -> tuple[Ranker | None, str]:
    """Learn what people keep.

    Args:
        candidates: of which the measured and decided ones count.
        kept: by candidate id, whether people kept a clip; what they have not decided about is not in it.
        seed: of the folds in which the model is tried on prompts it has not seen.

    Returns:
        The model and an empty text, or none and a sentence that says why.
    """
    rows, features = _measured([each for each in candidates if each.candidate_id in kept])
    answers = np.array([kept[row.candidate_id] for row in rows], bool)
    prompts = np.array([row.prompt for row in rows])
    missing = _missing(answers, prompts)
    if missing:
        return None, missing
    guessed, judged = np.zeros(len(rows)), np.zeros(len(rows), bool)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(features, answers, prompts):
        if np.unique(answers[train]).size == 2:
            guessed[test] = _model().fit(features[train], answers[train]).predict_proba(features[test])[:, 1]
            judged[test] = True
    if np.unique(answers[judged]).size < 2:
        return None, "what people keep stands in too few prompts to try a model on others"
    auc = float(roc_auc_score(answers[judged], guessed[judged]))
    return Ranker(model=_model().fit(features, answers), trained_on=len(rows), auc=auc), ""


def _missing(answers: np.ndarray, prompts: np.ndarray) -> str:
    for count, fewest, what in (
        (len(answers), FEWEST_CLIPS, "clips that people have decided about"),
        (int(answers.sum()), FEWEST_EACH, "clips that people kept"),
        (int((~answers).sum()), FEWEST_EACH, "clips that people rejected"),
        (len(np.unique(prompts)), FEWEST_PROMPTS, "prompts with a decision"),
    ):
        if count < fewest:
            return f"a model needs {fewest} {what}, there are {count}"
    return ""


def _model() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def _measured(candidates: Sequence[Candidate]) -> tuple[list[Candidate], np.ndarray]:
    """The rows whose clips were looked at, and their features `[N, F]`."""
    rows = [each for each in candidates if all(getattr(each, name) is not None for name in MEASURES)]
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
    """Jobs in the order in which to judge them. `audit` are the ids of the random slice, `scores` are by job id."""

    jobs: tuple[Job, ...]
    audit: frozenset[str]
    scores: Mapping[str, float]


def order(jobs: Sequence[Job], scores: Mapping[str, float], audit_share: float, seed: int) -> Queue:
    """Every job once, those with likelier clips first; an audit slice of them evenly spread at random places.

    Which jobs are in the slice and where they stand depends on the jobs and the seed alone.

    Args:
        jobs: not judged yet.
        scores: by candidate id; a clip without one counts as an average one.
        audit_share: of the jobs, above 0 and up to 1; at least one job is in the slice.
        seed: another one for every order, or the slices would repeat.

    Raises:
        UserError: the share is out of range, or a job stands twice.
    """
    if not 0 < audit_share <= 1:
        raise UserError(f"the audit slice is a share of the jobs above 0 and up to 1, got {audit_share}")
    named = {each.job_id: each for each in jobs}
    if len(named) < len(jobs):
        raise UserError("a job stands twice in what is to be ordered")
    known = [scores[name] for each in jobs for name in each.candidates if name in scores]
    usual = float(np.mean(known)) if known else 0.0
    worth = {
        each.job_id: float(np.mean([scores.get(name, usual) for name in each.candidates])) for each in jobs
    }
    draws, names = np.random.default_rng(seed), sorted(named)
    count = min(len(names), max(1, round(audit_share * len(names))))
    audit = [names[i] for i in draws.permutation(len(names))[:count]]
    edges = np.linspace(0, len(names), count + 1).astype(int)
    places = draws.integers(edges[:-1], edges[1:]).tolist() if names else []
    at = dict(zip(places, audit, strict=True))
    rest = iter(sorted(set(names) - set(audit), key=lambda name: (-worth[name], name)))
    queue = [named[at[place] if place in at else next(rest)] for place in range(len(names))]
    return Queue(jobs=tuple(queue), audit=frozenset(audit), scores=worth)


@dataclass(frozen=True, kw_only=True)
class Missed:
    """What is kept of clips not judged yet, if the rest of a queue is left alone.

    `audited` jobs of the audit slice were judged, and `kept` clips of them kept. `clips` is the expected number of
    keepers not judged yet, `share` its share of all keepers, those found included; intervals are 95 %. None where the
    slice does not say.
    """

    audited: int
    kept: int
    clips: float | None = None
    clips_interval: tuple[float, float] | None = None
    share: float | None = None
    interval: tuple[float, float] | None = None


def missed(queue: Queue, judged: Mapping[str, int], *, found_before: int = 0) -> Missed:
    """What is left in a queue, by its audit slice.

    The jobs are parted where the model's order has come to. Below that line only jobs of the slice are judged, a
    random sample of all jobs there; above it the jobs not judged are what the slice holds back, at random too. So on
    either side the mean of what is judged is expected of each clip that is not, without bias but for the one job at
    which the line is drawn. A side's interval is Wilson's for as many clips as independent ones would say the same,
    since clips of one job are kept or rejected together; the sides' intervals are joined by Zou and Donner's rule
    (2008, "Construction of confidence limits about effect measures").

    Args:
        judged: how many clips were kept of each finished job, by its id; other jobs are ignored.
        found_before: clips kept of jobs that were judged before this order was made.
    """
    done = [each for each in queue.jobs if each.job_id in judged]
    slice_ = [judged[each.job_id] for each in done if each.job_id in queue.audit]
    seen = Missed(audited=len(slice_), kept=sum(slice_))
    line = min((queue.scores[each.job_id] for each in done if each.job_id not in queue.audit), default=inf)
    sides = [
        [each for each in queue.jobs if (queue.scores[each.job_id] < line) == below]
        for below in (True, False)
    ]
    parts = [_expected(side, judged) for side in sides]
    if None in parts:
        return seen
    known = [part for part in parts if part is not None]
    clips = sum(mean for mean, _, _ in known)
    low = max(0.0, clips - sqrt(sum((mean - least) ** 2 for mean, least, _ in known)))
    high = clips + sqrt(sum((most - mean) ** 2 for mean, _, most in known))
    found = found_before + sum(judged[each.job_id] for each in done)
    share, least, most = (each / (each + found) if each + found else None for each in (clips, low, high))
    interval = None if least is None or most is None else (least, most)
    return replace(seen, clips=clips, clips_interval=(low, high), share=share, interval=interval)


def _expected(side: Sequence[Job], judged: Mapping[str, int]) -> tuple[float, float, float] | None:
    """Keepers among the jobs of a side that are not judged: expected, at least and at most; none if none is judged."""
    left = sum(len(each.candidates) for each in side if each.job_id not in judged)
    sample = [each for each in side if each.job_id in judged]
    if not left:
        return 0.0, 0.0, 0.0
    if not sample:
        return None
    kept = np.array([judged[each.job_id] for each in sample], float)
    shown = np.array([len(each.candidates) for each in sample], float)
    rate = float(kept.sum() / shown.sum())
    # what is left varies by chance too, and all the more the less of it there is
    alone = 1 / (1 / float(shown.sum()) + 1 / left)
    low, high = _wilson(rate, alone / _clumping(kept, shown, rate))
    return left * rate, left * low, left * high


def _clumping(kept: np.ndarray, shown: np.ndarray, rate: float) -> float:
    """By how much fewer independent clips would say as much: from 1, each for itself, to a whole job as one clip."""
    most = float(shown.mean())
    if len(kept) < 2 or rate in (0.0, 1.0):
        return most
    apart = float(np.square(kept - rate * shown).sum() / (len(kept) - 1) / (rate * (1 - rate) * shown.mean()))
    return min(max(apart, 1.0), most)


def _wilson(rate: float, count: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate; `count` need not be whole."""
    z = NormalDist().inv_cdf(0.975)
    middle = (rate + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * sqrt(rate * (1 - rate) / count + z * z / (4 * count * count))
    return max(0.0, min(rate, middle - reach)), min(1.0, max(rate, middle + reach))
