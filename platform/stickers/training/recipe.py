"""The schema of a recipe: exactly the settings that change a training's result.

The values live in `recipes/`. A recipe's digest names its run, so a changed recipe never resumes an old one.
"""

from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from json import dumps
from typing import Literal

from stickers.data.latents import Balance, Rate
from stickers.data.mixture import Window
from stickers.data.motion_buckets import MotionBuckets
from stickers.diffusion.prediction import PREDICTIONS, Prediction
from stickers.diffusion.sampling import SamplerSettings
from stickers.errors import UserError
from stickers.storage.places import as_path
from stickers.video.clips import ConditioningKind

Role = Literal["foundation", "teacher", "student", "distilled"]
#: pixels a side; smaller pictures leave no latent to attend to
MIN_RESOLUTION = 8
Offload = Literal["none", "optimizer", "weights"]
#: fields that came later: empty, they leave a digest as it was before
LATER_FIELDS = ("encoders",)


def sized(dataset: str, resolution: int) -> str:
    """The name of a dataset's latents at one resolution."""
    return f"{dataset}@{resolution}"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a multi-stage training (paper section 3.1).

    `resolution` is in pixels a side, `fps` the rate at which clips are sampled from videos, `datasets` pairs of
    collection name and weight; the order of stages is the data order. `window` is the part of a video that becomes a
    clip: any, or the one with its conditioning frame halfway, where sticker packs have the pose of the static sticker.
    `buckets` sample each window at a rate that depends on its motion, instead of `fps` (section 3.1.1). `balance` draws
    evenly from a dataset's clips, or from its captions and then from the clips of one caption.
    """

    steps: int
    resolution: int
    fps: int
    prediction: Prediction
    datasets: tuple[tuple[str, float], ...]
    freeze_spatial: bool = False
    window: Window = "any"
    balance: Balance = "clips"
    buckets: MotionBuckets | None = None
    lr: float = 5e-5

    def __post_init__(self) -> None:
        if self.prediction not in PREDICTIONS:
            raise UserError(
                f"stage prediction {self.prediction!r} is unknown; accepted: {', '.join(PREDICTIONS)}"
            )
        if self.steps < 1 or self.fps < 1 or self.resolution < MIN_RESOLUTION:
            raise UserError(
                f"a stage needs steps >= 1, fps >= 1 and resolution >= {MIN_RESOLUTION}, got {self}"
            )
        if not self.datasets or any(weight <= 0 for _, weight in self.datasets):
            raise UserError("a stage needs at least one dataset, each with a positive weight")

    @property
    def rate(self) -> Rate:
        """The rate at which windows are sampled."""
        return self.buckets or self.fps


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A teacher's, student's or foundation's training.

    `foundation` is the network to start from: a folder below that of the encoders, an absolute path or a URI.
    `encoders` is the folder of the autoencoder, text encoder and tokenizer that the network understands, where those
    are not the project's. Dropout
    probabilities follow paper section 2.1; the default batch size and learning rate its section 3.1, which gives
    batches of 128 to 512, rates of 2.5e-5 to 1e-4 and a few thousand to 150 thousand steps.

    `lr_schedule` is how the rate of the last stage falls. `ema_decay` averages the weights, and the average is
    the result. `lora_rank` trains low-rank adapters of the attention layers alone. `offload` keeps the optimiser's
    state, or with ZeRO stage 3 the weights too, in the host's memory; `gradient_checkpointing` computes activations
    twice instead of keeping them.
    """

    name: str
    role: Role
    foundation: str
    stages: tuple[Stage, ...]
    encoders: str = as_path("")
    seed: int = 0
    batch_size: int = 128
    num_frames: int = 8
    conditioning_frame: ConditioningKind = "middle"
    drop_text: float = 0.075
    drop_image: float = 0.075
    drop_both: float = 0.075
    warmup_steps: int = 20
    lr_schedule: Literal["linear", "cosine", "constant"] = "linear"
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    ema_decay: float | None = None
    lora_rank: int | None = None
    zero_stage: int = 1
    offload: Offload = "none"
    gradient_checkpointing: bool = False
    precision: Literal["fp32", "bf16"] = "bf16"
    num_workers: int = 1
    checkpoint_every: int = 100
    sampler: SamplerSettings = field(default_factory=SamplerSettings)

    def __post_init__(self) -> None:
        if not self.stages:
            raise UserError(f"recipe {self.name!r} has no stages")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise UserError(f"recipe {self.name!r}: ema_decay must lie between 0 and 1, got {self.ema_decay}")
        if self.lora_rank is not None and self.lora_rank < 1:
            raise UserError(f"recipe {self.name!r}: lora_rank must be at least 1, got {self.lora_rank}")
        if self.lora_rank and any(stage.freeze_spatial for stage in self.stages):
            raise UserError(
                f"recipe {self.name!r}: freeze_spatial means nothing where lora_rank freezes all weights"
            )

    @property
    def num_steps(self) -> int:
        """Training steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """The stage that optimiser step `step` belongs to, and the first step of that stage."""
        first = 0
        for stage in self.stages:
            if step < first + stage.steps:
                return stage, first
            first += stage.steps
        raise UserError(f"recipe {self.name!r} has {self.num_steps} steps, there is no step {step}")

    def digest(self) -> str:
        """12 hexadecimal characters that change with any field."""
        return digest_of(self)


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Guidance and step distillation of a finished student (paper section 3.3.3): 32 guided steps into 8 passes.

    The first `guided_steps` of the teacher's steps are guided, by default all; `temperature` scales the noise as in
    sampling with the result.
    """

    name: str
    student: str
    steps: int
    dataset: str
    resolution: int
    fps: int = 8
    balance: Balance = "clips"
    num_frames: int = 8
    conditioning_frame: ConditioningKind = "middle"
    seed: int = 0
    batch_size: int = 128
    lr: float = 2e-5
    warmup_steps: int = 20
    gradient_clip: float = 1.0
    teacher_steps: int = 32
    student_steps: int = 8
    guidance_image: float = 7.5
    guidance_text: float = 2.0
    guided_steps: int = 32
    temperature: float = 1.0
    zero_stage: int = 1
    precision: Literal["fp32", "bf16"] = "bf16"
    num_workers: int = 1
    checkpoint_every: int = 50

    def __post_init__(self) -> None:
        if self.teacher_steps % self.student_steps:
            raise UserError(
                f"teacher_steps ({self.teacher_steps}) must be a multiple of student_steps ({self.student_steps})"
            )

    @property
    def num_steps(self) -> int:
        """Training steps."""
        return self.steps

    def digest(self) -> str:
        """12 hexadecimal characters that change with any field."""
        return digest_of(self)


def digest_of(recipe: Recipe | Distillation) -> str:
    """Content hash of a recipe, stable across machines and Python versions."""
    values = {name: value for name, value in asdict(recipe).items() if value or name not in LATER_FIELDS}
    return blake2b(dumps(values, sort_keys=True).encode(), digest_size=6).hexdigest()
