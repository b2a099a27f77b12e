"""Image weights into a video model: the inflation of paper section 2.1.

The video model starts as the image model: spatial layers copied by name, temporal layers the identity, and the input
convolution widened by zero weights for the appended image latent.
"""

import torch
from diffusers import UNet2DConditionModel

from stickers.models.unet import VideoUNet

_SHARED_KEYS = (
    "out_channels",
    "block_out_channels",
    "down_block_types",
    "up_block_types",
    "layers_per_block",
    "transformer_layers_per_block",
    "attention_head_dim",
    "cross_attention_dim",
    "norm_num_groups",
    "norm_eps",
    "use_linear_projection",
    "addition_embed_type",
    "addition_embed_type_num_heads",
)


def inflate(image_unet: UNet2DConditionModel) -> VideoUNet:
    """A video UNet that draws, in every frame, what `image_unet` draws.

    Raises:
        ValueError: the image model has parts that the video model does not take; they are named.
    """
    config = image_unet.config
    video = VideoUNet(in_channels=2 * config.in_channels, **{key: config[key] for key in _SHARED_KEYS})
    state = dict(image_unet.state_dict())
    widened = torch.zeros_like(video.conv_in.weight)
    widened[:, : config.in_channels] = state["conv_in.weight"]
    state["conv_in.weight"] = widened
    missing, unexpected = video.load_state_dict(state, strict=False)
    strange = [name for name in missing if "temporal" not in name] + unexpected
    if strange:
        raise ValueError(
            f"this image UNet has a layout the video UNet does not take; first differing weight: {strange[0]}"
        )
    return video
