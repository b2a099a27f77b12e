"""Image weights into a video model: the inflation of paper section 2.1.

Any diffusers text-to-image folder with a `UNet2DConditionModel` (Stable Diffusion 1, 2 and XL) can be the start. The
video model begins as the image model: spatial layers are copied by name, temporal layers are the identity, and the
input convolution gets zero weights for the appended image latent. The autoencoder gains an alpha channel beside RGB.

AnimateDiff's motion adapters are not supported. Their second attention is over time again, where the paper's is to text
(section 3.3.1), so no weights fit; they add positions up to a learned maximum of frames at each attention, where ours
are added once and have no maximum; and they have no temporal convolutions.
"""

import inspect
import json
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from stickers.diffusion.prediction import Prediction
from stickers.errors import UserError
from stickers.models.autoencoder import RGBAAutoencoder
from stickers.models.text import ENDINGS, TextEncoder, load_tower
from stickers.models.trust import refuse_own_code
from stickers.models.unet import VideoUNet

#: the latent channels of the paper's autoencoder (section 2.1)
LATENT_CHANNELS = 8
#: pixels along one side of a latent pixel, in all of Stable Diffusion
FACTOR = 8
_WEIGHTS = "diffusion_pytorch_model"
_DTYPES = {"F32", "F16", "BF16"}
_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")

#: settings that the video UNet has under the same name
_UNET_KEYS = (
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
    "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
)
#: settings that do not concern the network itself, or only its training
_UNET_IGNORED = ("in_channels", "sample_size", "upcast_attention", "dropout")
_AUTOENCODER_KEYS = ("block_out_channels", "layers_per_block", "latent_channels", "norm_num_groups")
_AUTOENCODER_IGNORED = (
    *("in_channels", "out_channels", "down_block_types", "up_block_types", "mid_block_add_attention"),
    *("sample_size", "force_upcast", "scaling_factor", "shift_factor"),
)


class ImageModel(NamedTuple):
    """A text-to-image model: everything that a video model starts from."""

    unet: UNet2DConditionModel
    autoencoder: RGBAAutoencoder
    text: TextEncoder
    prediction: Prediction


def load_image_model(
    source: str | Path, *, variant: str | None = None, latent_channels: int = LATENT_CHANNELS
) -> ImageModel:
    """Read a text-to-image model.

    Args:
        source: a diffusers folder, or a hub name (`owner/name`, which needs a network).
        variant: which weight files to read, for example `fp16`; by default those without a variant.
        latent_channels: the number that the model must have, by default the paper's 8.

    Raises:
        UserError: the folder is no such model, is incomplete, is pickled, names code to run, or has unsupported parts.
    """
    root = _local(source, variant)
    refuse_own_code(root)
    unet = load_image_unet(root / "unet", variant=variant)
    autoencoder = add_alpha(_read(AutoencoderKL, root / "vae", variant))
    channels = int(autoencoder.config.latent_channels)
    if channels != latent_channels:
        raise UserError(
            f"{root / 'vae'} makes {channels} latent channels where {latent_channels} are asked; "
            f"latent_channels={channels} accepts it"
        )
    if channels != unet.config.in_channels:
        raise UserError(f"{root}: vae makes {channels} latent channels, unet takes {unet.config.in_channels}")
    endings = [ending for ending in ENDINGS if (root / f"text_encoder{ending}").is_dir()]
    if not endings:
        raise UserError(f"{root} is no text-to-image model: text_encoder is missing")
    for ending in endings:
        _check_files(root / f"text_encoder{ending}", "model", variant)
    text = TextEncoder(
        *(
            load_tower(root / f"tokenizer{end}", root / f"text_encoder{end}", variant=variant)
            for end in endings
        )
    )
    scheduler = root / "scheduler" / "scheduler_config.json"
    schedule = json.loads(scheduler.read_text()) if scheduler.exists() else {}
    prediction = schedule.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise UserError(f"{scheduler} says {prediction!r}; accepted: epsilon, v_prediction")
    return ImageModel(unet, autoencoder, text, prediction)


def load_image_unet(
    source: str | Path, *, variant: str | None = None, config: str | Path | None = None
) -> UNet2DConditionModel:
    """An image UNet from its folder, or from one safetensors file in a layout that diffusers converts.

    Args:
        source: a folder with `config.json` and weights, in one file or in shards, or a `.safetensors` file.
        variant: which weight files of a folder to read.
        config: for a single file, the folder whose `config.json` describes it; by default its own folder.
    """
    path = Path(source)
    if path.suffix in _PICKLES:
        raise UserError(f"{path} is a pickle, which can run code when read; accepted: safetensors")
    if path.suffix != ".safetensors":
        return _read(UNet2DConditionModel, path, variant)
    folder = Path(config or path.parent)
    _check_config(UNet2DConditionModel, folder)
    _check_tensors(path, {})
    loaded = UNet2DConditionModel.from_single_file(
        str(path), config=str(folder), local_files_only=True, trust_remote_code=False
    )
    return cast(UNet2DConditionModel, loaded)


def inflate(image_unet: UNet2DConditionModel) -> VideoUNet:
    """A video UNet that draws, in every frame, what `image_unet` draws.

    Raises:
        UserError: the image model has parts that the video model does not support; they are named.
    """
    _refuse_others(image_unet, (*_UNET_KEYS, *_UNET_IGNORED))
    config = image_unet.config
    sizes = {}
    if config.addition_embed_type == "text_time":
        side = config.sample_size * FACTOR
        sizes = {"time_ids": (side, side, 0, 0, side, side)}
    video = VideoUNet(in_channels=2 * config.in_channels, **{key: config[key] for key in _UNET_KEYS}, **sizes)
    state = dict(image_unet.state_dict())
    state["conv_in.weight"] = _widened(state["conv_in.weight"], video.conv_in.weight)
    missing, unexpected = video.load_state_dict(state, strict=False)
    mismatches = [name for name in missing if "temporal" not in name] + unexpected
    if mismatches:
        raise UserError(
            f"this image UNet has a layout the video UNet does not take; first differing weight: {mismatches[0]}"
        )
    return video


def add_alpha(rgb: AutoencoderKL) -> RGBAAutoencoder:
    """An RGBA autoencoder that treats RGB as `rgb` does; it ignores alpha when encoding and decodes it as opaque.

    Raises:
        UserError: `rgb` has unsupported parts; they are named.
    """
    _refuse_others(rgb, (*_AUTOENCODER_KEYS, *_AUTOENCODER_IGNORED))
    config = rgb.config
    channels = config.latent_channels
    rgba = RGBAAutoencoder(
        **{key: config[key] for key in _AUTOENCODER_KEYS},
        mid_block_attention=config.mid_block_add_attention,
        latent_mean=(float(config.shift_factor or 0),) * channels,
        latent_std=(1 / float(config.scaling_factor),) * channels,
    )
    state = dict(rgb.state_dict())
    for name in ("encoder.conv_in.weight", "decoder.conv_out.weight", "decoder.conv_out.bias"):
        state[name] = _widened(state[name], rgba.kl.get_parameter(name))
    state["decoder.conv_out.bias"][-1] = 1
    rgba.kl.load_state_dict(state)
    return rgba


def _widened(weight: Tensor, like: nn.Parameter) -> Tensor:
    """`weight` in the corner of a tensor of zeros with the shape of `like`."""
    wide = torch.zeros(like.shape, dtype=weight.dtype)
    wide[tuple(slice(length) for length in weight.shape)] = weight
    return wide


def _refuse_others(model: ModelMixin, supported: tuple[str, ...]) -> None:
    """Refuse a model whose unsupported settings differ from their defaults."""
    defaults = inspect.signature(type(model).__init__).parameters
    for name, parameter in defaults.items():
        if name in supported or parameter.default is inspect.Parameter.empty:
            continue
        if model.config[name] != parameter.default:
            raise UserError(
                f"{type(model).__name__} with {name}={model.config[name]!r} is not taken; "
                f"accepted: {parameter.default!r}"
            )


def _local(source: str | Path, variant: str | None) -> Path:
    """The folder of `source`; a hub name is downloaded first, safetensors alone."""
    root = Path(source)
    if not root.exists() and str(source).count("/") == 1 and not str(source).startswith((".", "/", "~")):
        from huggingface_hub import snapshot_download

        kinds = [f"*.{variant}*.safetensors" if variant else "*.safetensors", "*.json", "*.txt", "*.model"]
        root = Path(snapshot_download(str(source), allow_patterns=kinds))
    for part in ("unet", "vae"):
        if not (root / part / "config.json").exists():
            raise UserError(f"{root} is no text-to-image model: {part}/config.json is missing")
    return root


def _read(kind: Any, folder: Path, variant: str | None) -> Any:
    """A diffusers model from its folder, after checks with clear messages."""
    expected = _check_config(kind, folder)
    for path in _check_files(folder, _WEIGHTS, variant):
        _check_tensors(path, expected)
    model, loading = kind.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        variant=variant,
        output_loading_info=True,
        trust_remote_code=False,
    )
    if loading["missing_keys"]:
        raise UserError(f"{folder} lacks the weight {loading['missing_keys'][0]}")
    return model.eval()


def _check_config(kind: Any, folder: Path) -> dict[str, torch.Size]:
    """The shapes of a model with the folder's configuration, which must be of this kind."""
    if not (folder / "config.json").exists():
        raise UserError(f"{folder} is no model: config.json is missing")
    config = json.loads((folder / "config.json").read_text())
    if config.get("_class_name") != kind.__name__:
        raise UserError(f"{folder} holds {config.get('_class_name')}; accepted: {kind.__name__}")
    with torch.device("meta"):
        return {name: weight.shape for name, weight in kind.from_config(config).state_dict().items()}


def _check_files(folder: Path, stem: str, variant: str | None) -> list[Path]:
    """The weight files of a model: one file, or its shards."""
    ending = f".{variant}" if variant else ""
    index = folder / f"{stem}.safetensors.index{ending}.json"
    if index.exists():
        shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        for shard in shards:
            if not (folder / shard).exists():
                raise UserError(f"{folder}: shard {shard}, which {index.name} names, is missing")
        return [folder / shard for shard in shards]
    single = folder / f"{stem}{ending}.safetensors"
    if single.exists():
        return [single]
    others = sorted(path.name for path in folder.iterdir() if path.suffix == ".safetensors")
    if others:
        raise UserError(f"{folder} has no {single.name}; it has {', '.join(others)}: choose its variant")
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
    if pickles:
        raise UserError(
            f"{folder / pickles[0]} is a pickle, which can run code when read; accepted: safetensors"
        )
    raise UserError(f"{folder} holds no weights: {single.name} is missing")


def _check_tensors(path: Path, expected: dict[str, torch.Size]) -> None:
    """Check types and shapes by the file's header alone."""
    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                header = file.get_slice(name)
                shape, dtype = tuple(header.get_shape()), header.get_dtype()
                if name in expected and shape != tuple(expected[name]):
                    raise UserError(
                        f"{path}: {name} has shape {shape}, the configuration asks for {tuple(expected[name])}"
                    )
                if dtype not in _DTYPES:
                    raise UserError(f"{path}: {name} is {dtype}; accepted: {', '.join(sorted(_DTYPES))}")
    except SafetensorError as error:
        raise UserError(f"{path} is no safetensors file: {error}") from error
