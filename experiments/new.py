"""A project for your own videos and stickers: `python experiments/new.py --videos DIR --stickers TABLE --out FOLDER`.

It writes a commented project file, splits off held-out stickers, checks what can be checked before anything is trained,
and prints what the project will take. The platform's own folder stays as it is.
"""

import time
from pathlib import Path
from typing import Literal

import torch
from rich.markup import escape
from rich.table import Table

from actors.screen import console
from experiments.cli.options import run_script
from experiments.cli.project_choice import choose_project
from experiments.cli.scaffold import (
    HELD_OUT,
    PROJECT_FILE,
    STICKERS,
    carry_licence,
    describe_stickers,
    list_stickers,
    list_videos,
    networks_of,
    render,
    split,
    write_job_folder,
    write_stickers,
)
from experiments.cli.training import one_step_costs
from recipes.toy.projects import FOUNDATIONS
from stickers.errors import UserError
from stickers.project import Project
from stickers.training.estimate import GIB, H100_PEAK_FLOPS, SECONDS_AN_HOUR, UTILISATION
from stickers.training.job import foundation_of, latent_factor, network_config

REFUSED_SHOWN = 10
#: steps of each training: about a quarter of an hour for each network on one core
STEPS = 600
HELD_OUT_SHARE = 0.2
#: a matrix product that tells how fast this machine is, and how much of that trainings reach
PROBE, REACHED = 1024, 0.5
#: forward passes of a training step, in forward passes: forward, backward twice as long
PASSES_PER_STEP = 3
#: bytes of a latent value, and of a weight on disk
LATENT_BYTES, BYTES_PER_WEIGHT = 2, 4
#: frames of a usual short animation
USUAL_FRAMES = 72


def main(
    videos: Path,
    stickers: Path,
    out: Path,
    name: str | None = None,
    foundation: Path = FOUNDATIONS / "tiny",
    size: int | None = None,
    steps: int = STEPS,
    people: Literal["real", "random"] = "real",
    held_out: float = HELD_OUT_SHARE,
    licence: str = "",
) -> None:
    """Write a project for given folders.

    Args:
        videos: videos to learn from: a folder with a captions.csv (file, caption), a table, or a WebDataset tar.
        stickers: pictures to animate: a folder with a captions.csv, or a table with columns prompt and picture.
        out: the folder to write the project into; it must not hold one.
        name: the project's name; by default the folder's.
        foundation: folder of networks to start from, with their encoders.
        size: pixels a side; by default the size of the foundation's networks.
        steps: optimiser steps of each training.
        people: who chooses: real people on the annotation page, or simulated ones who choose at random.
        held_out: the share of prompts that is kept for the evaluation.
        licence: the licence of videos and stickers; by default the first line of a file LICENCE beside them. Records
            carry it along to the exported student.
    """
    folder = out.expanduser().resolve()
    check_target(folder, held_out)
    videos, foundation = videos.expanduser().resolve(), foundation.expanduser().resolve()
    listed = list_videos(videos)
    stickers = stickers.expanduser().resolve()
    rows, refused = list_stickers(stickers)
    networks = networks_of(foundation)
    size = size or networks.size
    to_animate, to_hold_out = split(rows, held_out)
    folder.mkdir(parents=True, exist_ok=True)
    write_stickers(folder / STICKERS, to_animate)
    write_stickers(folder / HELD_OUT, to_hold_out)
    texts = {
        "videos": carry_licence(videos, folder, "videos"),
        "stickers": carry_licence(stickers, folder, "stickers"),
    }
    text = render(
        name=name or folder.name, videos=videos, foundation=foundation, networks=networks,
        people=people, steps=steps, size=size,
        video_licence=licence or texts["videos"], sticker_licence=licence or texts["stickers"],
    )  # fmt: skip
    project_file = folder / PROJECT_FILE
    project_file.write_text(text, encoding="utf-8")
    project = choose_project(str(project_file))
    say(f"written: {project_file}\nwritten: {write_job_folder(folder)}")
    num_silent = sum(not video.caption for video in listed)
    sentences = [f"{len(listed)} videos, {num_silent} without a caption", *describe_stickers(rows, size)]
    sentences.append(f"{len(to_animate)} stickers to animate, {len(to_hold_out)} held out")
    show_checks(sentences, refused)
    show_costs(project, num_videos=len(listed), num_stickers=len(to_animate))
    say(f"next: python experiments/quickstart.py --project {project_file}")


def check_target(folder: Path, held_out: float) -> None:
    """UserError: the folder holds a project already, or `held_out` is no share."""
    if (folder / PROJECT_FILE).exists():
        raise UserError(f"{folder} holds a project; give another --out, or change {folder / PROJECT_FILE}")
    if not 0 < held_out < 1:
        raise UserError(f"--held-out is a share between 0 and 1, got {held_out}")


def say(text: str) -> None:
    """Print text as it is: no markup, no colours, no line breaks of the terminal's width."""
    console.print(escape(text), highlight=False, soft_wrap=True)


def show_checks(sentences: list[str], refused: list[str]) -> None:
    """Print what the checks say of videos and stickers, and the first stickers that cannot be used."""
    for sentence in (*sentences, *refused[:REFUSED_SHOWN]):
        say(sentence)
    if len(refused) > REFUSED_SHOWN:
        say(f"{len(refused) - REFUSED_SHOWN} more stickers cannot be used")


def show_costs(project: Project, *, num_videos: int, num_stickers: int) -> None:
    """Print what the project will take: time on this machine, GPU hours and disk."""
    flops_per_second, base = machine_speed(), project.foundation.place
    factor = latent_factor(base)
    rows: list[tuple[str, float]] = []
    candidate_flops = latent_bytes = weight_bytes = 0.0
    for recipe in (*project.teachers, *project.students):
        stage, config = recipe.stages[-1], network_config(foundation_of(recipe, base))
        step = one_step_costs(recipe, stage, config, factor)
        rows.append((f"train {recipe.name}", recipe.num_steps * step.flops))
        weight_bytes += BYTES_PER_WEIGHT * step.parameters
        if recipe.role == "teacher":
            forward = step.flops / (recipe.batch_size * PASSES_PER_STEP)
            candidate_flops += num_stickers * forward * recipe.sampler.num_passes()
            channels, side = config["out_channels"], stage.resolution // factor
            latent_bytes = num_videos * USUAL_FRAMES * channels * side**2 * LATENT_BYTES
    rows.insert(len(project.teachers), ("draw candidates", candidate_flops))
    rows.append(("all", sum(flops for _, flops in rows)))
    table = Table("stage", "on this machine", "H100-hours", title=f"what {project.name} will take, about")
    for stage_name, flops in rows:
        minutes, gpu_hours = (
            flops / flops_per_second / 60,
            flops / (H100_PEAK_FLOPS * UTILISATION) / SECONDS_AN_HOUR,
        )
        table.add_row(stage_name, f"{minutes:,.0f} min", f"{gpu_hours:,.4f}")
    console.print(table)
    console.print(
        f"disk: {(latent_bytes + weight_bytes) / GIB:,.2f} GiB for latents and networks", highlight=False
    )


def machine_speed() -> float:
    """FLOP/s that a training reaches here, by one matrix product and the usual share of it."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    matrix = torch.randn(PROBE, PROBE, device=device)
    matrix @ matrix
    start = time.perf_counter()
    float((matrix @ matrix).sum())
    return REACHED * 2 * PROBE**3 / (time.perf_counter() - start)


if __name__ == "__main__":
    run_script(main)
