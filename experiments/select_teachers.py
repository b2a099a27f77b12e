"""Which teachers are worth their clips: `python experiments/select_teachers.py`, then the same with `--choose`.

Every finished teacher draws a small pilot of prompts, several times each. Teachers are judged by their best clips, not
by their mean, and by what the others cannot do (paper section 3.2). The evidence stands on a page; a person decides,
and experiments/candidates.py obeys. What a program suggests is printed and never recorded as anybody's choice.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

import numpy as np
import pyarrow as pa
import ray
from ray.util import ActorPool
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from actors.cluster import connect
from actors.critic import Critic
from experiments.candidates import (
    announce,
    find_teachers,
    gather_stickers,
    make_candidates,
    planned,
)
from experiments.options import (
    RUNS,
    Runs,
    choose_profile,
    encoder_digests,
    foundations_of,
    run_script,
)
from recipes.profiles import Profile
from stickers import store
from stickers.artifacts import STICKERS, VOTES, Candidate, Vote, content_id, seed_from
from stickers.evaluation.choosing import ChoosingData, choosing_data, render_choosing
from stickers.evaluation.ensemble import Pilot, Scored, Step, TeacherFigures, suggest
from stickers.evaluation.oracle import asked_for
from stickers.evaluation.quality import Measured, Quality, by_oracle, by_pixels, by_votes
from stickers.hitl.candidates import read_candidates
from stickers.hitl.choice import Choice, Origin, current_choice, record_choice
from stickers.hitl.plan import Plan, make_plan, save_plan
from stickers.metrics.motion_size import motion_per_second

console = Console()
NUM_PROMPTS, NUM_SEEDS = 30, 2
THRESHOLD = 0.02
"""A gain of quality below this is not worth a teacher's clips."""
PAGE = "teachers.html"
MEASURED = pa.schema(
    [
        ("sticker_id", pa.string()),
        ("candidate_id", pa.string()),
        ("clip_digest", pa.string()),
        ("motion_size", pa.float64()),
        ("consistency", pa.float64()),
        ("truth_error", pa.float64()),
    ]
)
SCORED = pa.schema(
    [
        ("candidate_id", pa.string()),
        ("teacher", pa.string()),
        ("prompt", pa.string()),
        ("bucket", pa.string()),
        ("group", pa.string()),
        ("quality", pa.float64()),
        ("speed", pa.float64()),
        ("consistency", pa.float64()),
    ]
)
