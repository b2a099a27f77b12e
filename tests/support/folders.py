"""Real model folders as transformers writes them, of a few thousand weights, and a few real videos."""

from pathlib import Path
from typing import Any

from stickers.toy.video_files import write_captions, write_clip

WORDS = [
    *(
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "a",
        "the",
        "cat",
        "dog",
        "waving",
        "its",
        "paw",
        "jumping",
    ),
    *("hello", "kitty", "moon", "big", "red"),
]
SIDES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
PICTURE = {**SIDES, "image_size": 32, "patch_size": 8}


def save_videos(folder: Path) -> Path:
    """Six toy videos with their captions, and a copy of the first one under another name."""
    rows = [write_clip(str(folder), "artist", index, 0) for index in range(3)]
    rows += [write_clip(str(folder), "keyword", index, 0) for index in range(3)]
    copy = folder / f"copy-{rows[0]['file']}"
    copy.write_bytes((folder / rows[0]["file"]).read_bytes())
    write_captions(str(folder), [*rows, {"file": copy.name, "caption": "a copy"}])
    return folder


def tokenizer(folder: Path) -> Any:
    """BERT's tokenizer with a handful of words."""
    from transformers import BertTokenizerFast

    (folder / "vocab.txt").write_text("\n".join(WORDS))
    return BertTokenizerFast(vocab=str(folder / "vocab.txt"))


def save_clip(folder: Path) -> Path:
    """CLIP, 12 features."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    torch.manual_seed(0)
    text = {**SIDES, "vocab_size": 32, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2}
    config = CLIPConfig(
        text_config={**text, "projection_dim": 12},
        vision_config={**PICTURE, "projection_dim": 12},
        projection_dim=12,
    )
    CLIPModel(config).save_pretrained(folder)
    side = {"height": 32, "width": 32}
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=side).save_pretrained(folder)
    return folder


def save_blip(folder: Path) -> Path:
    """BLIP, taught to say `a red cat` of red and `the big moon` of blue."""
    import torch
    from PIL import Image
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil, BlipProcessor

    torch.manual_seed(0)
    ends = {"bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0, "is_decoder": True}
    text = {
        **SIDES,
        "vocab_size": len(WORDS),
        "encoder_hidden_size": 16,
        "max_position_embeddings": 64,
        **ends,
    }
    config = BlipConfig(text_config=text, vision_config=PICTURE, projection_dim=16, image_text_hidden_size=16)
    model = BlipForConditionalGeneration(config)
    images = BlipImageProcessorPil(size={"height": 32, "width": 32})
    processor = BlipProcessor(images, tokenizer(folder))
    pictures = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    batch = processor(images=pictures, text=["a red cat", "the big moon"], return_tensors="pt")
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(80):
        adam.zero_grad()
        model(**batch, labels=batch["input_ids"]).loss.backward()
        adam.step()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_entity(folder: Path) -> Path:
    """A BERT token classifier, taught that hello and kitty, side by side, are a name and nothing else is."""
    import torch
    from transformers import BertConfig, BertForTokenClassification

    torch.manual_seed(0)
    labels = {0: "O", 1: "B-NAME", 2: "I-NAME"}
    config = BertConfig(
        **SIDES, vocab_size=len(WORDS), id2label=labels, label2id={name: i for i, name in labels.items()}
    )
    model, words = BertForTokenClassification(config), tokenizer(folder)
    token_ids = words(
        ["a big red cat waving its paw", "hello kitty jumping the moon dog"],
        return_tensors="pt",
        padding=True,
    )
    truth = torch.zeros_like(token_ids["input_ids"])
    truth[1, 1], truth[1, 2] = 1, 2
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        adam.zero_grad()
        model(**token_ids, labels=truth).loss.backward()
        adam.step()
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
