"""A language model writes prompts, asked for dynamic motion (paper section 2.3: "generations using LLAMA").

What it answers is read line by line; sorting out what is no prompt, unsafe or doubled is another module's work.
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

#: asked for at once: enough that a model varies them, few enough that it stays with the task
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
    """One question to the model; the same one is answered in the same way on the same kind of machine."""

    ask_id: str
    bucket: str
    seed: int
    model: str


def asks_for(num_prompts: int, model: str, seed: int) -> list[Ask]:
    """Questions for about half as many prompts again as are wanted, the buckets in turn.

    Args:
        model: the digest of the model's weights.
    """
    count = -(-3 * num_prompts // (2 * PROMPTS_PER_ASK))
    buckets = list(KINDS)
    found = []
    for number in range(max(count, len(buckets))):
        bucket, own = buckets[number % len(buckets)], seed_from(seed, "ask", number)
        found.append(Ask(ask_id=content_id("ask", model, bucket, own), bucket=bucket, seed=own, model=model))
    return found


def instruction(bucket: str) -> str:
    """What the model is asked."""
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
        """The model's answer, one prompt a line."""
        given, begun = self._question(ask.bucket)
        given = given.to(self.model.device)
        torch.manual_seed(ask.seed % 2**63)
        end = self.tokenizer.eos_token_id
        made = self.model.generate(
            **given,
            do_sample=True,
            temperature=1.0,
            top_p=0.95,
            max_new_tokens=self._room(given["input_ids"].shape[1]),
            pad_token_id=self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else end,
        )[0, given["input_ids"].shape[1] :]
        ended = end is not None and bool((made == end).any())
        text = begun + self.tokenizer.decode(made, skip_special_tokens=True)
        # a line that the limit cut off is no prompt
        return text if ended else text.rpartition("\n")[0]

    def _question(self, bucket: str) -> tuple[Any, str]:
        """The input, and how the answer begins."""
        asked = instruction(bucket)
        if self.tokenizer.chat_template:
            talk = [{"role": "user", "content": asked}]
            given = self.tokenizer.apply_chat_template(
                talk, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            return given, ""
        return self.tokenizer(f"{asked}\n\n1.", return_tensors="pt", return_token_type_ids=False), "1."

    def _room(self, asked: int) -> int:
        """New tokens: what the prompts need, within what the model can hold."""
        most = getattr(self.model.config, "max_position_embeddings", None) or asked + 2**12
        room = min(PROMPTS_PER_ASK * TOKENS_PER_PROMPT, most - asked)
        if room < TOKENS_PER_PROMPT:
            raise UserError(
                f"the model holds {most} tokens, the question takes {asked} and leaves no room to answer"
            )
        return room


def prompts_in(answer: str) -> list[str]:
    """The prompts of an answer: its lines without numbers, bullets and quotes. A line that ends in a colon announces
    others and is none."""
    found = []
    for line in answer.splitlines():
        plain = re.sub(r"^\s*(?:\d+\s*[.):]|[-*•])\s*", "", line).strip().strip("\"'“”*").strip()
        if plain and not plain.endswith(":"):
            found.append(plain)
    return found


def said_in(answers: Sequence[tuple[str, str]], source: str) -> list[ProposedPrompt]:
    """Every prompt of these answers (bucket that was asked for, answer), the answers in turn, so that none comes last.

    A model that was asked for actions may write an emotion; where the words tell nothing, what was asked for counts.
    """
    every = [[(bucket, text) for text in prompts_in(answer)] for bucket, answer in answers]
    longest = max(map(len, every), default=0)
    turns = [some[turn] for turn in range(longest) for some in every if turn < len(some)]
    told = [(text, bucket_of(text), asked) for asked, text in turns]
    return [
        ProposedPrompt(text=text, bucket=asked if own == OPEN else own, source=source)
        for text, own, asked in told
    ]
