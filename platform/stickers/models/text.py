"""Prompts to hidden states, by a CLIP text model from a transformers folder."""

from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer


class TextEncoder:
    """A tokenizer and a CLIP text model, frozen."""

    def __init__(self, tokenizer: CLIPTokenizer, model: CLIPTextModel) -> None:
        self.tokenizer, self.model = tokenizer, model.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> "TextEncoder":
        """Read `tokenizer/` and `text_encoder/` in `folder`."""
        root = Path(folder)
        tokenizer = CLIPTokenizer.from_pretrained(root / "tokenizer", local_files_only=True)
        model = CLIPTextModel.from_pretrained(
            root / "text_encoder", local_files_only=True, use_safetensors=True
        )
        return cls(tokenizer, model.to(device))

    def save(self, folder: str | Path) -> None:
        root = Path(folder)
        self.tokenizer.save_pretrained(root / "tokenizer")
        self.model.save_pretrained(root / "text_encoder", safe_serialization=True)

    @property
    def length(self) -> int:
        """Tokens a prompt is padded or cut to."""
        return int(self.model.config.max_position_embeddings)

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Tensor:
        """Hidden states `[B, L, D]`, float32. An empty prompt is the null condition of guidance.

        Longer prompts than `length` tokens are cut, as CLIP does.
        """
        tokens = self.tokenizer(
            prompts, padding="max_length", truncation=True, max_length=self.length, return_tensors="pt"
        )
        return self.model(input_ids=tokens.input_ids.to(self.model.device)).last_hidden_state.float()
