"""What trials, studies and benchmarks draw with: the parts of the toy world that its recipes hand out."""

from stickers.toy import words
from stickers.toy.characters import SUBJECTS, Look
from stickers.toy.faults import FAULTS
from stickers.toy.grammar import toy_prompts, toy_stickers
from stickers.toy.measure import ToyOracle
from stickers.toy.motions import MOTIONS, Mode, render_motion, render_still
from stickers.toy.oracle import look_of
from stickers.toy.video_files import write_captions, write_clip
from stickers.toy.words import meaning

__all__ = [
    "FAULTS",
    "MOTIONS",
    "SUBJECTS",
    "Look",
    "Mode",
    "ToyOracle",
    "look_of",
    "meaning",
    "render_motion",
    "render_still",
    "toy_prompts",
    "toy_stickers",
    "words",
    "write_captions",
    "write_clip",
]
