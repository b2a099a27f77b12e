"""Lets a language model write prompts with dynamic motion (paper section 2.3: "generations using LLAMA").

Answers are read line by line. `stickers.prompts.sorting` removes lines that are no prompts, unsafe or duplicates.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from stickers.artifacts.ids import content_id, seed_from
from stickers.curation.pretrained import load_helper, load_model
from stickers.errors import UserError
from stickers.prompts.sorting import OPEN, ProposedPrompt, bucket_of

#: prompts per question: enough that a model varies them, few enough that it keeps to the task
PROMPTS_PER_ASK = 12
TOKENS_PER_PROMPT = 24
KINDS = {
    "action": 'an action, from simple ones ("a person waving") to dynamic ones ("a speeding car navigating a winding '
    'road")',
    "emotion": 'an emotion that is seen in body and face, from simple ones ("a girl crying") to complex ones '
    '("a dejected-looking puppy with its ears drooping and its tail between its legs")',
    "open-ended": "a scene, a plant, an animal or a thing that moves by itself or is moved, without people's actions "
    "or emotions; some may be single words",
}
ASKS = pa.schema(
    [("ask_id", pa.string()), ("bucket", pa.string()), ("seed", pa.int64()), ("model", pa.string())]
)
ANSWERS = pa.schema([("ask_id", pa.string()), ("bucket", pa.string()), ("answer", pa.string())])


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One question to the model. The same question gets the same answer on the same kind of machine."""

    ask_id: str
    bucket: str
    seed: int
    model: str


def asks_for(num_prompts: int, model: str, seed: int) -> list[Ask]:
    """Questions for about one and a half times `num_prompts` prompts; the buckets take turns.

    Args:
        model: the digest of the model's weights.
    """
    count = -(-3 * num_prompts // (2 * PROMPTS_PER_ASK))
    buckets = list(KINDS)
    asks = []
    for number in range(max(count, len(buckets))):
        bucket, ask_seed = buckets[number % len(buckets)], seed_from(seed, "ask", number)
        ask_id = content_id("ask", model, bucket, ask_seed)
        asks.append(Ask(ask_id=ask_id, bucket=bucket, seed=ask_seed, model=model))
    return asks


def instruction(bucket: str) -> str:
    """The text of a question for a bucket."""
    return (
        f"Write {PROMPTS_PER_ASK} different short prompts for animated stickers, one a line, numbered, and nothing "
        f"else. Each describes {KINDS[bucket]}. Prefer dynamic motion: large movements of the whole subject, of its "
        "limbs or of what surrounds it, which a looping animation of a few frames can show. Name the subject and how "
        "it moves in at most twelve words, without camera directions, names of brands or people, or words to be "
        "written."
    )


class Author:
    """A causal language model of a transformers folder (safetensors, no code of its own).

    Raises:
        UserError: the folder holds no such model, or no tokenizer.
    """

    def __init__(self, folder: str, device: str = "cpu") -> None:
        self.tokenizer = load_helper("AutoTokenizer", folder)
        self.model = load_model("AutoModelForCausalLM", folder, device)

    @torch.no_grad()
    def write(self, ask: Ask) -> str:
        """The model's answer, one prompt per line."""
        inputs, beginning = self._question(ask.bucket)
        inputs = inputs.to(self.model.device)
        num_tokens = inputs["input_ids"].shape[1]
        torch.manual_seed(ask.seed % 2**63)
        end = self.tokenizer.eos_token_id
        answer = self.model.generate(
            **inputs,
            do_sample=True,
            temperature=1.0,
            top_p=0.95,
            max_new_tokens=self._room(num_tokens),
            pad_token_id=self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else end,
        )[0, num_tokens:]
        ended = end is not None and bool((answer == end).any())
        text = beginning + self.tokenizer.decode(answer, skip_special_tokens=True)
        # without an end token the limit has cut off the last line
        return text if ended else text.rpartition("\n")[0]

    def _question(self, bucket: str) -> tuple[Any, str]:
        """The model's input, and the beginning of the answer that it already holds."""
        text = instruction(bucket)
        if self.tokenizer.chat_template:
            talk = [{"role": "user", "content": text}]
            inputs = self.tokenizer.apply_chat_template(
                talk, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            return inputs, ""
        return self.tokenizer(f"{text}\n\n1.", return_tensors="pt", return_token_type_ids=False), "1."

    def _room(self, question: int) -> int:
        """The limit of new tokens after a question of so many: for all prompts, within the model's context."""
        most = getattr(self.model.config, "max_position_embeddings", None) or question + 2**12
        room = min(PROMPTS_PER_ASK * TOKENS_PER_PROMPT, most - question)
        if room < TOKENS_PER_PROMPT:
            raise UserError(
                f"the model holds {most} tokens, the question takes {question} and leaves no room to answer"
            )
        return room


def prompts_in(answer: str) -> list[str]:
    """The prompts of an answer: its lines without numbers, bullets and quotes. A line that ends in a colon only
    announces others and is skipped."""
    prompts = []
    for line in answer.splitlines():
        plain = re.sub(r"^\s*(?:\d+\s*[.):]|[-*•])\s*", "", line).strip().strip("\"'“”*").strip()
        if plain and not plain.endswith(":"):
            prompts.append(plain)
    return prompts


def proposed_in(answers: Sequence[tuple[str, str]], source: str) -> list[ProposedPrompt]:
    """The prompts of all answers; the answers take turns, so that none comes last.

    A model may write an emotion when asked for actions, so a prompt's words decide its bucket. Where they decide
    nothing, the bucket of the question counts.

    Args:
        answers: pairs of the question's bucket and the answer.
    """
    by_answer = [[(bucket, text) for text in prompts_in(answer)] for bucket, answer in answers]
    longest = max(map(len, by_answer), default=0)
    turns = [prompts[turn] for turn in range(longest) for prompts in by_answer if turn < len(prompts)]
    buckets = [bucket_of(text) for _, text in turns]
    return [
        ProposedPrompt(text=text, bucket=question if bucket == OPEN else bucket, source=source)
        for (question, text), bucket in zip(turns, buckets, strict=True)
    ]
