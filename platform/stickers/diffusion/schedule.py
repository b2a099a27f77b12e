"""The noise schedule: how much signal and noise a latent holds at each training timestep.

z_t = alpha_t z_0 + sigma_t noise, alpha^2 + sigma^2 = 1, over 1000 timesteps with Stable Diffusion's scaled-linear
betas. With zero terminal SNR (Lin et al. 2023; paper section 3.1) the last timestep is pure noise.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from stickers.errors import UserError


@dataclass(frozen=True)
class NoiseSchedule:
    """`alpha` and `sigma`, float64 `[1000]`, by timestep (0 = nearly clean)."""

    alpha: Tensor
    sigma: Tensor

    @classmethod
    def make(cls, *, zero_terminal_snr: bool) -> "NoiseSchedule":
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
        alpha = scheduler.alphas_cumprod.double().sqrt()
        if zero_terminal_snr:
            alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
        return cls(alpha, (1 - alpha**2).sqrt())

    @property
    def num_timesteps(self) -> int:
        return len(self.alpha)

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
        """`num_steps` timesteps equally spaced, from the last one down ("trailing": pure noise is where it starts)."""
        self._check_count(num_steps)
        spaced = torch.arange(self.num_timesteps, 0, -self.num_timesteps / num_steps, dtype=torch.float64)
        return [int(t) - 1 for t in spaced.round()[:num_steps]]

    def log_snr_timesteps(self, num_steps: int, *, lowest: float = -7.0) -> list[int]:
        """`num_steps` timesteps linear in log SNR (paper section 3.3.1), the first being the last timestep.

        At zero terminal SNR that is minus infinity, so the grid is clipped at `lowest`; otherwise half of all steps
        would fall among nearly pure noise. Neighbours that would coincide near clean data move apart.
        """
        self._check_count(num_steps)
        log_snr = 2 * (self.alpha.clamp(min=1e-30).log() - self.sigma.log())
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
