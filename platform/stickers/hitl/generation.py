"""Plan rows to candidates, without Ray: the plain class that a teacher actor holds.

Batches are always padded to one shape, so a row's pixels do not depend on how many neighbours it happened to have.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from stickers.artifacts import Candidate, PlanRow, clip_digest
from stickers.pipeline import AnimationPipeline
from stickers.video.codec import decode_picture, encode_strip
from stickers.video.motion import motion_score

MADE, FAILED = "made", "failed"


class CandidateMaker:
    """A teacher at work on its part of a plan.

    Args:
        pipeline: the teacher.
        pictures: sticker id to PNG.
        plan_id: of the plan that asks.
        attempt: 0 for the first pass, then counting the retries of failed rows.
        batch_size: clips of one network batch.
    """

    def __init__(
        self,
        pipeline: AnimationPipeline,
        pictures: Mapping[str, bytes],
        *,
        plan_id: str,
        attempt: int,
        batch_size: int,
    ) -> None:
        self.pipeline, self.pictures = pipeline, pictures
        self.plan_id, self.attempt, self.batch_size = plan_id, attempt, batch_size

    def make(self, rows: list[PlanRow]) -> list[Candidate]:
        """One candidate a row, in order. A row that fails is recorded with its error and stops nothing."""
        made: list[Candidate] = []
        for first in range(0, len(rows), self.batch_size):
            batch = rows[first : first + self.batch_size]
            try:
                made += self._make_batch(batch)
            except Exception:  # noqa: BLE001  (whatever it is, it is found again row by row and recorded there)
                made += [self._make_alone(row) for row in batch]
        return made

    def _make_alone(self, row: PlanRow) -> Candidate:
        started = time.perf_counter()
        try:
            return self._make_batch([row])[0]
        except Exception as error:  # noqa: BLE001  (one bad row must not stop days of work)
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            return self._candidate(row, None, reason, time.perf_counter() - started)

    def _make_batch(self, rows: list[PlanRow]) -> list[Candidate]:
        started = time.perf_counter()
        padded = rows + [rows[-1]] * (self.batch_size - len(rows))
        clips = self.pipeline.animate(
            pictures=[self._picture(row) for row in padded],
            prompts=[row.prompt for row in padded],
            seeds=[row.seed for row in padded],
        )
        share = (time.perf_counter() - started) / len(rows)
        return [self._candidate(row, clip, "", share) for row, clip in zip(rows, clips, strict=False)]

    def _picture(self, row: PlanRow) -> np.ndarray:
        if row.sticker_id not in self.pictures:
            raise ValueError(
                f"the plan names sticker {row.sticker_id}, which its sticker table does not hold"
            )
        return decode_picture(self.pictures[row.sticker_id])

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
            motion_score=None if clip_THWC is None else motion_score(clip_THWC),
            seconds=seconds,
        )
