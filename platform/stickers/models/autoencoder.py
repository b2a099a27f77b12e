"""Encodes RGBA pictures to 8-channel latents and back, frame by frame.

The convolutions are diffusers' `AutoencoderKL`, with alpha as a fourth channel (paper section 2.1, after the static
stickers model). `patch_size` first folds squares of pixels into channels, which makes a tiny autoencoder
affordable; 1, the default, is the plain AutoencoderKL of real checkpoints.
"""

import torch
from diffusers import AutoencoderKL
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from stickers.errors import UserError

#: channels of a picture
RGBA = 4


class RGBAAutoencoder(ModelMixin, ConfigMixin):
    """Encodes RGBA frames, float in [-1, 1] and composited over white, to scaled latents.

    `latent_mean` and `latent_std` (one number a channel, measured once on training frames) normalise latents to zero
    mean and unit variance.
    """

    @register_to_config
    def __init__(
        self,
        *,
        block_out_channels: tuple[int, ...] = (128, 256, 512, 512),
        layers_per_block: int = 2,
        latent_channels: int = 8,
        norm_num_groups: int = 32,
        patch_size: int = 1,
        mid_block_attention: bool = True,
        latent_mean: tuple[float, ...] = (0.0,) * 8,
        latent_std: tuple[float, ...] = (1.0,) * 8,
    ) -> None:
        super().__init__()
        del latent_mean, latent_std  # the decorator has put them into self.config
        levels = len(block_out_channels)
        self.kl = AutoencoderKL(
            in_channels=RGBA * patch_size**2,
            out_channels=RGBA * patch_size**2,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=block_out_channels,
            layers_per_block=layers_per_block,
            latent_channels=latent_channels,
            norm_num_groups=norm_num_groups,
            mid_block_add_attention=mid_block_attention,
        )

    @property
    def factor(self) -> int:
        """Pixels along one side of a latent pixel."""
        return int(self.config.patch_size) * 2 ** (len(self.config.block_out_channels) - 1)

    def _scale(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean = torch.tensor(self.config.latent_mean, device=like.device, dtype=like.dtype).view(1, -1, 1, 1)
        std = torch.tensor(self.config.latent_std, device=like.device, dtype=like.dtype).view(1, -1, 1, 1)
        return mean, std

    def distribution(self, frames_NCHW: Tensor):  # type: ignore[no-untyped-def]
        """The encoder's diagonal Gaussian over unscaled latents of frames `[N, 4, H, W]`."""
        frames_NCHW = pixel_unshuffle(frames_NCHW, self.config.patch_size)
        return self.kl.encode(frames_NCHW.to(self.dtype)).latent_dist

    def reconstruct(self, latents_NCHW: Tensor) -> Tensor:
        """Frames `[N, 4, H, W]` from unscaled latents."""
        return pixel_shuffle(self.kl.decode(latents_NCHW.to(self.dtype)).sample, self.config.patch_size)

    @torch.no_grad()
    def encode(self, frames_BTCHW: Tensor) -> Tensor:
        """Scaled latents `[B, T, 8, H/f, W/f]` (the distribution's mean: deterministic) of frames `[B, T, 4, H, W]`."""
        side = frames_BTCHW.shape[-1]
        if frames_BTCHW.shape[-2] % self.factor or side % self.factor:
            raise UserError(
                f"frame sides must be multiples of {self.factor} pixels, got {tuple(frames_BTCHW.shape[-2:])}"
            )
        flat = self.distribution(frames_BTCHW.flatten(0, 1)).mode().float()
        mean, std = self._scale(flat)
        return ((flat - mean) / std).unflatten(0, frames_BTCHW.shape[:2])

    @torch.no_grad()
    def decode(self, latents_BTCHW: Tensor) -> Tensor:
        """Frames `[B, T, 4, H, W]`, clipped to [-1, 1], of scaled latents."""
        flat = latents_BTCHW.flatten(0, 1)
        mean, std = self._scale(flat)
        return self.reconstruct(flat * std + mean).float().clamp(-1, 1).unflatten(0, latents_BTCHW.shape[:2])
