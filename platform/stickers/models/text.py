"""Encodes prompts for UNets with frozen text models from transformers folders.

A text is *one* tensor `[L, D]`. Its layout concerns only the encoder and the UNet, not data, dropout or guidance:

- one CLIP model: its last hidden states, D wide;
- CLIP and T5 (paper section 2.1): their features side by side; the UNet separates them and attends to both sequences;
- SDXL's two CLIP models: their last but one hidden states side by side, followed by one more row, the second model's
  pooled text, filled up with zeros.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import AutoTokenizer, CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel

from stickers.errors import UserError
from stickers.models.trust import refuse_own_code

#: endings of the folders of the first, second and third tokenizer and model, as in diffusers
ENDINGS = ("", "_2", "_3")
_CLASSES = {
    "CLIPTextModel": CLIPTextModel,
    "CLIPModel": CLIPTextModel,
    "CLIPTextModelWithProjection": CLIPTextModelWithProjection,
    "T5EncoderModel": T5EncoderModel,
    "T5ForConditionalGeneration": T5EncoderModel,
}


class TextEncoder:
    """One to three tokenizers with their frozen text models, CLIP first.

    Raises:
        UserError: the combination fits none of our UNets.
    """

    def __init__(self, *towers: tuple[Any, Any]) -> None:
        self.towers = [(tokenizer, model.eval().requires_grad_(False)) for tokenizer, model in towers]
        kinds = [type(model).__name__ for _, model in towers]
        self.pooled = kinds == ["CLIPTextModel", "CLIPTextModelWithProjection"]
        if not self.pooled and kinds not in (["CLIPTextModel"], ["CLIPTextModel", "T5EncoderModel"]):
            raise UserError(
                f"text models {', '.join(kinds)} do not go together; accepted: one CLIPTextModel, alone, "
                "with a T5EncoderModel, or with a CLIPTextModelWithProjection"
            )

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> "TextEncoder":
        """Read `tokenizer/` and `text_encoder/` in `folder`, and those ending in `_2` or `_3` where they exist."""
        root = Path(folder)
        endings = [ending for ending in ENDINGS if (root / f"text_encoder{ending}").is_dir()]
        return cls(
            *(load_tower(root / f"tokenizer{end}", root / f"text_encoder{end}", device) for end in endings)
        )

    def save(self, folder: str | Path) -> None:
        """Write folders for `load`."""
        for ending, (tokenizer, model) in zip(ENDINGS, self.towers, strict=False):
            tokenizer.save_pretrained(Path(folder) / f"tokenizer{ending}")
            model.save_pretrained(Path(folder) / f"text_encoder{ending}", safe_serialization=True)

    def to(self, device: str | torch.device) -> "TextEncoder":
        """Move the models, in place."""
        for _, model in self.towers:
            model.to(device)
        return self

    @property
    def length(self) -> int:
        """Tokens to which all models pad or cut a prompt."""
        return int(self.towers[0][1].config.max_position_embeddings)

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Tensor:
        """Texts `[B, L, D]`, float32. An empty prompt is the null condition of guidance.

        Longer prompts than `length` tokens are cut, as CLIP does.
        """
        outputs = [self._read(tokenizer, model, prompts) for tokenizer, model in self.towers]
        if not self.pooled:
            return torch.cat([output.last_hidden_state for output in outputs], dim=-1).float()
        states = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1).float()
        pooled = outputs[1].text_embeds.float()
        return torch.cat([states, pad(pooled, (0, states.shape[-1] - pooled.shape[-1]))[:, None]], dim=1)

    def _read(self, tokenizer: Any, model: Any, prompts: list[str]) -> Any:
        tokens = tokenizer(
            prompts, padding="max_length", truncation=True, max_length=self.length, return_tensors="pt"
        ).to(model.device)
        if isinstance(model, T5EncoderModel):
            return model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)
        return model(input_ids=tokens.input_ids, output_hidden_states=self.pooled)


def load_tower(
    tokenizer: Path, model: Path, device: str = "cpu", variant: str | None = None
) -> tuple[Any, Any]:
    """A tokenizer and its text model from their folders.

    Raises:
        UserError: the folder's model is not supported, or the folder names code to run.
    """
    refuse_own_code(tokenizer)
    refuse_own_code(model)
    names = json.loads((model / "config.json").read_text()).get("architectures") or ["nothing"]
    if names[0] not in _CLASSES:
        raise UserError(f"{model} holds {names[0]}; accepted text models: {', '.join(_CLASSES)}")
    loaded = _CLASSES[names[0]].from_pretrained(
        model, local_files_only=True, use_safetensors=True, variant=variant, trust_remote_code=False
    )
    loaded_tokenizer = AutoTokenizer.from_pretrained(
        tokenizer, local_files_only=True, trust_remote_code=False
    )
    return loaded_tokenizer, loaded.to(device)
