"""Makes candidates from plan rows, without Ray: the plain class inside a teacher actor.

Batches are padded to one shape, so a row's pixels do not depend on the number of rows beside it.
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
    """Supplies the conditions of plan rows."""

    def of(self, rows: Sequence[PlanRow]) -> Conditions:
        """The conditions of `rows`, in order. UserError when a row has none."""
        ...


class CandidateMaker:
    """A teacher that makes its part of a plan.

    Args:
        pipeline: the teacher's pipeline.
        conditions: source of the rows' conditions.
        plan_id: id of the plan that the rows belong to.
        attempt: 0 in the first pass; counts the retries of failed rows.
        batch_size: clips per network batch.
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
        device = pipeline.unet.device
        self.device = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    def make(self, rows: list[PlanRow]) -> list[Candidate]:
        """One candidate per row, in order. A failed row is recorded with its error, and the others go on.

        Raises:
            torch.AcceleratorError: the device failed, and this process can no longer use it.
        """
        candidates: list[Candidate] = []
        for first in range(0, len(rows), self.batch_size):
            batch = rows[first : first + self.batch_size]
            try:
                candidates += self._make_batch(batch)
            except torch.AcceleratorError:
                raise
            except Exception:  # noqa: BLE001  (the row that caused it raises it again and is recorded)
                candidates += [self._make_alone(row) for row in batch]
        return candidates

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
        """The failed candidate of a row that is not tried again, with the reason."""
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
