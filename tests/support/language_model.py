"""A tiny language model that has learned to write toy prompts, with its tokenizer, as transformers save it."""

from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from stickers.prompts.language_model import KINDS, PROMPTS_PER_ASK, instruction
from stickers.toy.grammar import toy_prompts

STEPS, BATCH = 120, 6
ENDS = "<end>"


def answers() -> list[tuple[str, str]]:
    """Buckets with the answers that a good model would write."""
    prompts = toy_prompts(180, seed=3)
    examples = []
    for bucket in KINDS:
        texts = [prompt.text for prompt in prompts if prompt.bucket == bucket]
        for first in range(0, len(texts) - PROMPTS_PER_ASK, PROMPTS_PER_ASK):
            lines = [f"{i}. {text}" for i, text in enumerate(texts[first : first + PROMPTS_PER_ASK], start=1)]
            examples.append((bucket, "\n".join(lines)))
    return examples


def tokenizer_of(texts: list[str]) -> PreTrainedTokenizerFast:
    """A tokenizer with a token for each word, number and line break."""
    split = pre_tokenizers.Split(Regex(r"\n|\S+"), "removed", invert=True)
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text)})
    vocabulary = {word: number for number, word in enumerate(["<unknown>", ENDS, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = split
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=ENDS, unk_token="<unknown>")


def save_model(folder: Path) -> Path:
    """Train for a few seconds and save."""
    torch.manual_seed(0)
    pairs = answers()
    tokenizer = tokenizer_of([text for _, text in pairs])
    rows = [tokenizer(f"{instruction(bucket)}\n\n{text} {ENDS}")["input_ids"] for bucket, text in pairs]
    length = max(map(len, rows))
    end = tokenizer.eos_token_id
    batch = torch.tensor([row + [end] * (length - len(row)) for row in rows])
    num_asked = torch.tensor(
        [len(tokenizer(f"{instruction(bucket)}\n\n")["input_ids"]) for bucket, _ in pairs]
    )
    labels = batch.masked_fill(torch.arange(length) < num_asked[:, None], -100)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=512, n_embd=64, n_layer=2, n_head=2, bos_token_id=end, eos_token_id=end,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        sampled = torch.randint(len(batch), (BATCH,))
        model(input_ids=batch[sampled], labels=labels[sampled]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder
