"""The noise schedule: how much signal and noise a latent holds at each training timestep.

z_t = alpha_t z_0 + sigma_t noise, alpha^2 + sigma^2 = 1, over 1000 timesteps with Stable Diffusion's scaled-linear
betas. With zero terminal SNR (Lin et al. 2023; paper section 3.1) the last timestep is pure noise.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from stickers.errors import UserError

#: of Stable Diffusion
BETA_START, BETA_END = 0.00085, 0.012
#: keeps the logarithm of a zero signal finite
TINY_ALPHA = 1e-30


@dataclass(frozen=True)
class NoiseSchedule:
    """`alpha` and `sigma`, float64 `[1000]`, by timestep (0 = nearly clean)."""

    alpha: Tensor
    sigma: Tensor

    @classmethod
    def make(cls, *, zero_terminal_snr: bool) -> "NoiseSchedule":
        """Stable Diffusion's schedule, rescaled to end in pure noise where `zero_terminal_snr` is set."""
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=BETA_START, beta_end=BETA_END)
        alpha = scheduler.alphas_cumprod.double().sqrt()
        if zero_terminal_snr:
            alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
        return cls(alpha, (1 - alpha**2).sqrt())

    @property
    def num_timesteps(self) -> int:
        """Timesteps of the schedule, 1000."""
        return len(self.alpha)

    @property
    def half_log_snr(self) -> Tensor:
        """log(alpha / sigma), float64 `[1000]`: half of the log SNR, very low rather than -inf at pure noise."""
        return self.alpha.clamp(min=TINY_ALPHA).log() - self.sigma.log()

    def at(self, timestep: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma of integer timesteps `[B]`, shaped to broadcast over `like`; timestep -1 is clean data."""
        shape = (-1, *(1,) * (like.dim() - 1))
        index = timestep.clamp(min=0).cpu()
        clean = (timestep < 0).cpu()
        alpha = torch.where(clean, torch.ones((), dtype=torch.float64), self.alpha[index])
        sigma = torch.where(clean, torch.zeros((), dtype=torch.float64), self.sigma[index])
        return alpha.view(shape).to(like), sigma.view(shape).to(like)

    def add_noise(self, clean: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """z_t for each row of the batch."""
        alpha, sigma = self.at(timestep, clean)
        return alpha * clean + sigma * noise

    def uniform_timesteps(self, num_steps: int) -> list[int]:
        """`num_steps` timesteps equally spaced, from the last one down ("trailing": the first is pure noise)."""
        self._check_count(num_steps)
        spaced = torch.arange(self.num_timesteps, 0, -self.num_timesteps / num_steps, dtype=torch.float64)
        return [int(t) - 1 for t in spaced.round()[:num_steps]]

    def log_snr_timesteps(self, num_steps: int, *, lowest: float = -7.0) -> list[int]:
        """`num_steps` timesteps linear in log SNR (paper section 3.3.1), starting from the last timestep.

        At zero terminal SNR the log SNR starts at minus infinity, so the grid is clipped at `lowest`; otherwise half of
        the steps would be spent on nearly pure noise. Steps that would coincide near clean data move apart.
        """
        self._check_count(num_steps)
        log_snr = 2 * self.half_log_snr
        start = max(float(log_snr[-1]), lowest)
        grid = torch.linspace(start, float(log_snr[0]), num_steps + 1, dtype=torch.float64)[:-1]
        nearest = [int((log_snr - value).abs().argmin()) for value in grid]
        nearest[0] = self.num_timesteps - 1
        for i in range(1, num_steps):
            nearest[i] = min(nearest[i], nearest[i - 1] - 1)
        return [max(timestep, num_steps - 1 - i) for i, timestep in enumerate(nearest)]

    def _check_count(self, num_steps: int) -> None:
        if not 1 <= num_steps <= self.num_timesteps:
            raise UserError(f"steps must lie between 1 and {self.num_timesteps}, got {num_steps}")
