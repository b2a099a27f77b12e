"""Plan rows to candidates, without Ray: the plain class that a teacher actor holds.

Batches are always padded to one shape, so a row's pixels do not depend on how many neighbours it happened to have.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol

import numpy as np
import torch

from stickers.artifacts.ids import clip_digest
from stickers.artifacts.records import FAILED, MADE, Candidate, PlanRow
from stickers.pipeline import AnimationPipeline, Conditions, Order
from stickers.video.codec import encode_strip


class ConditionSource(Protocol):
    """Where the conditions of rows come from; UserError for a row that has none."""

    def of(self, rows: Sequence[PlanRow]) -> Conditions: ...


class CandidateMaker:
    """A teacher at work on its part of a plan.

    Args:
        pipeline: the teacher.
        conditions: what rows start from.
        plan_id: of the plan that asks.
        attempt: 0 for the first pass, then counting the retries of failed rows.
        batch_size: clips of one network batch.
    """

    def __init__(
        self,
        pipeline: AnimationPipeline,
        conditions: "ConditionSource",
        *,
        plan_id: str,
        attempt: int,
        batch_size: int,
    ) -> None:
        self.pipeline, self.conditions = pipeline, conditions
        self.plan_id, self.attempt, self.batch_size = plan_id, attempt, batch_size
        place = pipeline.unet.device
        self.device = torch.cuda.get_device_name(place) if place.type == "cuda" else place.type

    def make(self, rows: list[PlanRow]) -> list[Candidate]:
        """One candidate a row, in order. A row that fails is recorded with its error and stops nothing.

        Raises:
            torch.AcceleratorError: the device failed; nothing that this process does on it from now on succeeds.
        """
        made: list[Candidate] = []
        for first in range(0, len(rows), self.batch_size):
            batch = rows[first : first + self.batch_size]
            try:
                made += self._make_batch(batch)
            except torch.AcceleratorError:
                raise
            except Exception:  # noqa: BLE001  (whatever it is, it is found again row by row and recorded there)
                made += [self._make_alone(row) for row in batch]
        return made

    def _make_alone(self, row: PlanRow) -> Candidate:
        started = time.perf_counter()
        try:
            return self._make_batch([row])[0]
        except torch.AcceleratorError:
            raise
        except Exception as error:  # noqa: BLE001  (one bad row must not stop days of work)
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            return self._candidate(row, None, reason, time.perf_counter() - started)

    def _make_batch(self, rows: list[PlanRow]) -> list[Candidate]:
        started = time.perf_counter()
        padded = rows + [rows[-1]] * (self.batch_size - len(rows))
        order = Order([], [], [row.seed for row in padded], conditions=self.conditions.of(padded))
        clips = next(self.pipeline.animate_each([order]))
        share = (time.perf_counter() - started) / len(rows)
        return [self._candidate(row, clip, "", share) for row, clip in zip(rows, clips, strict=False)]

    def give_up(self, row: PlanRow, reason: str) -> Candidate:
        """A row that is not tried again, and why."""
        return self._candidate(row, None, reason, 0.0)

    def _candidate(self, row: PlanRow, clip_THWC: np.ndarray | None, error: str, seconds: float) -> Candidate:
        strip = None if clip_THWC is None else encode_strip(clip_THWC)
        return Candidate(
            **asdict(row),
            plan_id=self.plan_id,
            attempt=self.attempt,
            status=FAILED if strip is None else MADE,
            error=error,
            clip=strip,
            clip_digest=None if strip is None else clip_digest(strip),
            num_frames=self.pipeline.settings.num_frames,
            fps=self.pipeline.settings.fps,
            seconds=seconds,
            device=self.device,
        )
