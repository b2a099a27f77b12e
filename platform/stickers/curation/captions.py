"""Richer captions (paper 2.2): a captioning model's description of a video, joined with the names in its old caption.

The captions of sourced videos are noisy and often describe something else, but they name what no captioner can see: the
character or the occasion. The paper trained a captioner with temporal attention. Here an image captioner of BLIP's
class describes several frames, whose differences describe the motion. Entities come from a token classifier or,
without one, from a rule.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from stickers.artifacts.ids import content_id
from stickers.curation.keywords import contains_phrase, same_word, tokens
from stickers.curation.parts import KEY
from stickers.curation.pretrained import load_helper, load_model
from stickers.curation.video_tables import Unread, evenly_spaced, look
from stickers.data.latents import weights_digest
from stickers.video.clips import on_white

#: videos (each uint8 RGBA `[T, H, W, 4]`) to the captions of a few frames of each
Captioner = Callable[[Sequence[np.ndarray]], list[list[str]]]
#: original captions to the names in each
Entities = Callable[[Sequence[str]], list[list[str]]]

DESCRIPTIONS = pa.schema(
    [(KEY, pa.string()), ("frames", pa.list_(pa.string())), ("entities", pa.list_(pa.string()))]
)
ORIGINAL = "original_caption"
NUM_FRAMES = 4
NUM_BEAMS = 3
MAX_TOKENS = 40
MAX_SIDE = 768
LONGEST_PHRASE = 3
#: tokens of a caption that are searched for names
LONGEST_CAPTION = 512
#: positions that models of RoBERTa's kind reserve
RESERVED_POSITIONS = 2
#: words that describe nothing or separate phrases
EMPTY_WORDS = """
a about after all also am an and any are as at be been before being but by can could did do does doing down for from
get gets getting go goes going got had has have having he her here hers him his how i if in into is it its just like me
more most my near no not now of off on one onto or other our out over own she so some such than that the their them
then there these they this those through to too under until up us very was we were what when where which while who why
will with without you your
animated animation best clip cool download fps free funny fyp gif gifs hd hq image images loop looping lol meme new nice
official original png sticker stickers subscribe tag tags trending video videos viral watch wow
"""
STOP_WORDS = frozenset(EMPTY_WORDS.split())


class BlipCaptioner:
    """A BLIP-class model from a transformers folder: one caption for each of evenly spaced frames, on white.

    Beam search is deterministic: a video always gets the same words on the same kind of machine.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        num_frames: int = NUM_FRAMES,
        num_beams: int = NUM_BEAMS,
        device: str = "cpu",
    ) -> None:
        self.num_frames, self.num_beams, self.device = num_frames, num_beams, device
        self.model = load_model("AutoModelForImageTextToText", folder, device)
        self.processor = load_helper("AutoProcessor", folder)

    @torch.inference_mode()
    def __call__(self, videos: Sequence[np.ndarray]) -> list[list[str]]:
        """`num_frames` captions of each video, in the order of its frames, from one batch."""
        shown = [on_white(evenly_spaced(frames, self.num_frames))[..., :-1] for frames in videos]
        pictures = [Image.fromarray(frame) for frames in shown for frame in frames]
        pixels = self.processor(images=pictures, return_tensors="pt")["pixel_values"].to(self.device)
        written = self.model.generate(
            pixel_values=pixels, do_sample=False, num_beams=self.num_beams, max_new_tokens=MAX_TOKENS
        )
        texts = [text.strip() for text in self.processor.batch_decode(written, skip_special_tokens=True)]
        return [texts[start : start + self.num_frames] for start in range(0, len(texts), self.num_frames)]


class TokenEntities:
    """The names that a transformers token classifier marks, as written in the caption, without repetitions."""

    def __init__(self, folder: str | Path, *, device: str = "cpu") -> None:
        from transformers import pipeline

        model = load_model("AutoModelForTokenClassification", folder, device)
        tokenizer = load_helper("AutoTokenizer", folder)
        # Some folders do not state how much their model reads; longer captions are cut.
        room = getattr(model.config, "max_position_embeddings", LONGEST_CAPTION) - RESERVED_POSITIONS
        tokenizer.model_max_length = min(tokenizer.model_max_length, room)
        self.mark = pipeline(
            "token-classification",
            model=model,
            tokenizer=tokenizer,
            aggregation_strategy="simple",
            device=device,
            trust_remote_code=False,
        )

    def __call__(self, captions: Sequence[str]) -> list[list[str]]:
        """The names in each caption."""
        nonempty = [caption for caption in captions if caption.strip()]
        marked = iter(self.mark(nonempty) if nonempty else ())
        return [
            list(dict.fromkeys(caption[name["start"] : name["end"]].strip() for name in next(marked)))
            if caption.strip()
            else []
            for caption in captions
        ]


def phrases(captions: Sequence[str]) -> list[list[str]]:
    """A rule in place of a model: the runs of words between stop words and punctuation, without repetitions.

    Addresses, file endings, numbers and single letters are dropped; hashtags and underscores are split. A run of more
    than `LONGEST_PHRASE` words is a sentence, not a name, and is dropped.
    """
    return [_phrases(caption) for caption in captions]


def captioner_digest(
    captioner: str | Path, entities: str | Path | None, num_frames: int, num_beams: int
) -> str:
    """A hash of everything that decides the words, besides the video and its caption."""
    named = weights_digest(entities) if entities else "phrases"
    return content_id("captioner", weights_digest(captioner), named, num_frames, num_beams, MAX_TOKENS)


def caption_key(content: str, caption: str) -> str:
    """A hash of the video and its original caption, on which a row's words depend."""
    return content_id("said", content, caption)


def describe(
    rows: Sequence[dict[str, Any]], captioner: Captioner, entities: Entities
) -> tuple[list[dict[str, Any]], list[Unread]]:
    """Describe a batch of videos with the models.

    Args:
        rows: key, file and caption of each video.

    Returns:
        Rows of `DESCRIPTIONS`, and the videos that cannot be read.
    """
    results = [(row, look(row["file"], MAX_SIDE)) for row in rows]
    good = [(row, result[0]) for row, result in results if not isinstance(result, Unread)]
    unread = [result for _, result in results if isinstance(result, Unread)]
    if not good:
        return [], unread
    frames = captioner([pixels for _, pixels in good])
    names = entities([row["caption"] for row, _ in good])
    descriptions = [
        {KEY: row[KEY], "frames": texts, "entities": row_names}
        for (row, _), texts, row_names in zip(good, frames, names, strict=True)
    ]
    return descriptions, unread


def richer(frames: Sequence[str], entities: Sequence[str], original: str) -> str:
    """One caption from the frames' captions and the entities that these do not mention, without repetitions.

    A sentence is dropped when another one has all its words. Where no sentence and no entity remains, the original
    caption stays.
    """
    sentences = [text for text in map(_without_stutter, frames) if tokens(text)]
    kept: list[str] = []
    for number, text in enumerate(sentences):
        later = sentences[number + 1 :]
        # Of two equal sentences the first one stays; of a shorter and a longer one, the longer.
        if not any(_covers(other, text) for other in kept) and not any(
            _covers(other, text) and not _covers(text, other) for other in later
        ):
            kept.append(text)
    for name in entities:
        words = tokens(name)
        if words and not any(contains_phrase(tokens(text), words) for text in kept):
            kept.append(name)
    return ", ".join(kept) or original


def _covers(longer: str, shorter: str) -> bool:
    """True where a text has all words of another, stop words aside."""
    words = tokens(longer)
    required = [word for word in tokens(shorter) if word not in STOP_WORDS] or tokens(shorter)
    return all(any(same_word(word, other) for other in words) for word in required)


def _without_stutter(text: str) -> str:
    """Small captioners write `a cat cat cat on on a mat`; immediate repetitions of up to four words are removed."""
    text = re.sub(r"\b(\w+(?:\s+\w+){0,3})(?:\s+\1\b)+", r"\1", text, flags=re.IGNORECASE)
    return re.sub(r"\s+", " ", text).strip(" .,;")


def _phrases(caption: str) -> list[str]:
    text = re.sub(r"\w+://\S+|\bwww\.\S+|@\S+|\.(?:gif|mp4|mov|webm|webp|png|jpe?g)\b", " | ", caption)
    text = re.sub(r"[_#]+", " ", text)
    names: list[str] = []
    for stretch in re.split(r"[^\w\s'’-]+", text):
        run: list[str] = []
        for word in [*stretch.split(), ""]:
            plain = word.strip("'’-")
            if (
                len(plain) > 1
                and not any(sign.isdigit() for sign in plain)
                and plain.lower() not in STOP_WORDS
            ):
                run.append(plain)
                continue
            if 0 < len(run) <= LONGEST_PHRASE:
                names.append(" ".join(run))
            run = []
    return list({tuple(tokens(name)): name for name in reversed(names)}.values())[::-1]
