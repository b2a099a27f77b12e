"""Pretrained models from the user's folders: safetensors and JSON, never the hub, never partly random."""

from pathlib import Path
from typing import Any, Literal

from stickers.errors import UserError
from stickers.models.trust import refuse_own_code

Kind = Literal[
    "AutoModel", "AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoModelForTokenClassification"
]
Helper = Literal["AutoImageProcessor", "AutoProcessor", "AutoTokenizer"]


def load_model(kind: Kind, folder: str | Path, device: str) -> Any:
    """A transformers model for inference.

    Raises:
        UserError: the folder is missing, holds no model of that kind in safetensors, lacks some weights, which
            transformers would fill with noise, or names code to run.
    """
    import transformers

    refuse_own_code(folder)
    loader = getattr(transformers, kind)
    try:
        model, loading = loader.from_pretrained(
            _folder(folder),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder} cannot be loaded as {kind}: {_first_line(error)}") from error
    if loading["missing_keys"]:
        name = sorted(loading["missing_keys"])[0]
        raise UserError(f"{folder} cannot be loaded as {kind}: its weights lack {name}")
    return model.to(device).eval()


def load_helper(kind: Helper, folder: str | Path) -> Any:
    """The tokenizer or processor of a model, from the same folder. UserError as `load_model`."""
    import transformers

    refuse_own_code(folder)
    loader = getattr(transformers, kind)
    try:
        return loader.from_pretrained(_folder(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder} has nothing that {kind} can load: {_first_line(error)}") from error


def _folder(folder: str | Path) -> str:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UserError("there is no such folder")
    return str(path)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
