"""How a clip is sampled: the settings, which enter a candidate's identity, and the loop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from torch import Tensor

from stickers.diffusion.guidance import Condition, combine, needed_passes
from stickers.diffusion.prediction import Prediction, to_sample, zero_terminal_snr
from stickers.diffusion.schedule import NoiseSchedule
from stickers.diffusion.solvers import ddim, dpm_solver_2m
from stickers.errors import UserError

#: (noisy latents, timestep, passes to run) -> one output for each pass, batched into one call or not
Passes = Callable[[Tensor, int, tuple[Condition, ...]], dict[Condition, Tensor]]


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """Everything about sampling that changes the pixels.

    The first `guided_steps` steps have full guidance, the rest run one unguided pass (adaptive guidance, paper section
    3.3.1). `fps` is the speed at which the clip is meant to play. `temperature` scales the noise that sampling starts
    from: below 1 a weak model gives less variety and fewer broken clips.
    """

    solver: Literal["ddim", "dpm"] = "dpm"
    num_steps: int = 15
    guidance_image: float = 7.5
    guidance_text: float = 2.0
    guided_steps: int = 8
    temperature: float = 1.0
    num_frames: int = 8
    fps: int = 8

    def __post_init__(self) -> None:
        if self.solver not in ("ddim", "dpm"):
            raise UserError(f"unknown solver {self.solver!r}; accepted: ddim, dpm")
        for name in ("num_steps", "num_frames", "fps"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.temperature < 0:
            raise UserError(f"temperature must not be negative, got {self.temperature}")

    @classmethod
    def of(cls, values: Mapping[str, Any], source: str) -> "SamplerSettings":
        """Settings from their JSON form in `source`; those that an older version lacks take their default.

        Raises:
            UserError: this version does not know one of the settings.
        """
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                raise UserError(
                    f"{source}: sampler setting {name!r} is unknown; accepted: {', '.join(names)}"
                )
        return cls(**values)

    def num_passes(self) -> int:
        """Network passes that a clip takes."""
        guided = min(self.guided_steps, self.num_steps)
        return guided * len(needed_passes(self.guidance_image, self.guidance_text)) + self.num_steps - guided


#: the unoptimised baseline of paper section 3.3.1: 150 passes
NAIVE = SamplerSettings(solver="ddim", num_steps=50, guided_steps=50)
#: its training-free optimisation: 31 passes
TRAINING_FREE = SamplerSettings()
#: the distilled student: 8 passes
DISTILLED = SamplerSettings(solver="ddim", num_steps=8, guidance_image=1.0, guidance_text=1.0, guided_steps=0)


def sample(run: Passes, noise: Tensor, image: Tensor, kind: Prediction, settings: SamplerSettings) -> Tensor:
    """Clean latents `[B, T, C, H, W]` from `noise` of that shape.

    `image` is the conditioning latent `[B, 1, C, H, W]`; each pass gets it or zero, according to its condition.
    """
    schedule = NoiseSchedule.make(zero_terminal_snr=zero_terminal_snr(kind))
    guided = needed_passes(settings.guidance_image, settings.guidance_text)
    start = noise * settings.temperature

    def denoise(z: Tensor, index: int, timestep: int) -> Tensor:
        alpha, sigma = schedule.at(noise.new_tensor([timestep]).long(), z)
        outputs = run(z, timestep, guided if index < settings.guided_steps else ("full",))
        clean = {
            condition: to_sample(kind, output, z, alpha, sigma, image if condition != "none" else image * 0)
            for condition, output in outputs.items()
        }
        return combine(clean, settings.guidance_image, settings.guidance_text)

    if settings.solver == "ddim":
        return ddim(denoise, start, schedule, schedule.uniform_timesteps(settings.num_steps))
    return dpm_solver_2m(denoise, start, schedule, schedule.log_snr_timesteps(settings.num_steps))
