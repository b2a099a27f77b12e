"""Text encoders: CLIP alone and beside T5, saved and loaded, and the combinations that are refused."""

from pathlib import Path
from shutil import copytree

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from stickers.models.text import TextEncoder, load_tower


@pytest.fixture(scope="module")
def t5_folder(student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLIP with a T5 encoder beside it."""
    root = tmp_path_factory.mktemp("t5")
    for part in ("text_encoder", "tokenizer"):
        copytree(student_folder / part, root / part)
    words = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "cat": 4}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(root / "tokenizer_2")
    config = T5Config(vocab_size=5, d_model=40, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    T5EncoderModel(config).save_pretrained(root / "text_encoder_2")
    return root


def test_clip_and_t5_are_encoded_side_by_side(t5_folder: Path, tmp_path: Path) -> None:
    text = TextEncoder.load(t5_folder)
    both = text.encode(["a cat", ""])
    assert both.shape == (2, 32, 16 + 40)
    alone = TextEncoder(text.towers[0]).encode(["a cat", ""])
    assert torch.equal(both[..., :16], alone)
    text.save(tmp_path)
    assert torch.equal(TextEncoder.load(tmp_path).encode(["a cat", ""]), both)


def test_padding_does_not_change_t5s_states(t5_folder: Path) -> None:
    """T5 reads the prompt's tokens alone: their states are those without padding."""
    tokenizer, model = TextEncoder.load(t5_folder).towers[1]
    alone = model(**tokenizer("a cat", return_tensors="pt").to(model.device), return_dict=True)
    padded = TextEncoder.load(t5_folder).encode(["a cat"])[..., 16:]
    assert torch.allclose(padded[:, :2], alone.last_hidden_state[:, :2], atol=1e-6)


def test_unsupported_models_and_combinations_are_refused(t5_folder: Path, tmp_path: Path) -> None:
    encoder = TextEncoder.load(t5_folder)
    with pytest.raises(ValueError, match="T5EncoderModel do not go together; accepted: one CLIPTextModel"):
        TextEncoder(encoder.towers[1])
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}')
    with pytest.raises(ValueError, match="holds BertModel; accepted text models: CLIPTextModel"):
        load_tower(t5_folder / "tokenizer", tmp_path)
