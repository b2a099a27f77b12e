"""How often the automatic checks are right: `python experiments/studies/checks.py`.

It checks clean toy clips, and the same clips with one planted fault each, at several frame rates and sizes. The tables
show how many clean clips each verdict is raised against and how many faults it misses, with 95 % intervals.
"""

from collections import Counter

import numpy as np
from rich.table import Table
from scipy.stats import binomtest

from actors.screen import console, track
from experiments.cli.options import run_script
from recipes.toy.world import FAULTS, Mode, look_of, meaning, render_motion, toy_prompts
from stickers.errors import UserError
from stickers.metrics.clip_checks import FLAGS, check

RATES, SIZES, NUM_FRAMES = (4, 6, 8), (32, 64, 256), 8


def main(clips: int = 300, seed: int = 1) -> None:
    """Count false alarms and missed faults of each check.

    Args:
        clips: clips of each kind.
        seed: seed of the clips; the thresholds were set on seed 0.
    """
    if clips < 1:
        raise UserError(f"at least one clip is needed, got {clips}")
    dice = np.random.default_rng(seed)
    prompts = toy_prompts(min(clips, 200), seed)
    raised: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for number in track(range(clips), "check", unit="clips"):
        prompt = prompts[number % len(prompts)]
        fps, size = int(dice.choice(RATES)), int(dice.choice(SIZES))
        motion, mode = meaning(prompt.text).motions[0], Mode.draw(dice)
        clean = render_motion(look_of(prompt.text, 0), motion, mode, np.arange(NUM_FRAMES) / fps, size)
        raised.update(check(clean, fps).flags.raised)
        for fault, flag in FAULTS.items():
            missed[fault.__name__] += flag not in check(fault(clean, dice), fps).flags.raised
    show("raised against clean clips", {flag: raised[flag] for flag in FLAGS}, clips)
    show(
        "faults missed",
        {f"{fault.__name__} ({flag})": missed[fault.__name__] for fault, flag in FAULTS.items()},
        clips,
    )


def show(title: str, counts: dict[str, int], clips: int) -> None:
    """Print the figures of every check."""
    table = Table("what", "share", "95 %", title=f"{title}, of {clips} each")
    for name, count in counts.items():
        low, high = binomtest(count, clips).proportion_ci(method="wilson")
        table.add_row(name, f"{count / clips:.1%}", f"{low:.1%} to {high:.1%}")
    console.print(table)


if __name__ == "__main__":
    run_script(main)
