"""Loads networks from folders in the formats of diffusers and transformers: safetensors and JSON, never the hub.

Importing the networks takes seconds (diffusers imports all of torch's compiler), and most processes of a run hold none,
so each is imported when it is first loaded.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stickers.models.trust import refuse_own_code

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder
    from stickers.models.text import TextEncoder
    from stickers.models.unet import VideoUNet

_LOCAL = {"local_files_only": True, "use_safetensors": True}


def load_unet(folder: str | Path, dtype: torch.dtype = torch.float32) -> "VideoUNet":
    """A video UNet from its folder (`config.json` and weights), for inference."""
    from stickers.models.unet import VideoUNet

    refuse_own_code(folder)
    return VideoUNet.from_pretrained(folder, torch_dtype=dtype, trust_remote_code=False, **_LOCAL).eval()


def load_autoencoder(foundations: str | Path) -> "RGBAAutoencoder":
    """The autoencoder in `autoencoder/` of a foundations folder or an exported model, for inference."""
    from stickers.models.autoencoder import RGBAAutoencoder

    folder = Path(foundations) / "autoencoder"
    refuse_own_code(folder)
    return RGBAAutoencoder.from_pretrained(folder, trust_remote_code=False, **_LOCAL).eval()


def load_text_encoder(foundations: str | Path, device: str = "cpu") -> "TextEncoder":
    """The text encoder in `text_encoder/` and `tokenizer/` of a foundations folder or an exported model."""
    from stickers.models.text import TextEncoder

    return TextEncoder.load(foundations, device)


def network_names(foundation: Path) -> list[str]:
    """The video networks that a foundation folder brings, by name; none where it has no such folder."""
    root = foundation / "video_unets"
    return sorted(path.parent.name for path in root.glob("*/config.json")) if root.is_dir() else []
