"""How fast the next job is painted: `python experiments/trials/painting.py --runs RUNS`.

A headless Chromium answers one job of a finished plan after another by keyboard, on a service and a store made for this
run. It measures the time from the key press that submits to the frame in which all stickers of the next job are drawn,
and beside it the time between the browser's frames, since nothing can be painted before the next frame.
"""

import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, ViewportSize, sync_playwright
from rich.table import Table

from actors.screen import console, track
from experiments.cli.keeping import join_queue
from experiments.cli.options import RUNS, Runs, current, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from serve.annotation.deployment import AnnotationOptions, open_annotation
from serve.annotation.engine import Limits
from serve.annotation.lead import sign_in_link
from serve.standalone import running
from stickers import storage
from stickers.annotation.store.people import add_person
from stickers.annotation.store.votes import VoteStore
from stickers.errors import UserError

#: people take a reaction within a tenth of a second for immediate
LIMIT_MS = 100.0
PERCENTILE = 95
#: one job is open in the browser and one is fetched ahead, so neither can be answered and measured
JOBS_AHEAD = 2
VIEWPORT: ViewportSize = {"width": 1280, "height": 800}
FRAMES = """() => new Promise((done) => {
    const times = [];
    const look = (now) => { times.push(now); times.length < 60 ? requestAnimationFrame(look) : done(times); };
    requestAnimationFrame(look);
})"""
TIMES = "() => performance.getEntriesByName('next-job').map((entry) => entry.duration)"


def answer(page: Page, jobs: int) -> list[float]:
    """Answer `jobs` jobs; returns the milliseconds from each key press to the painted next job."""
    for _ in track(range(jobs), "answer", unit="jobs"):
        page.locator('#desk[data-ready="1"]').wait_for()
        page.keyboard.press("1")
        before = page.evaluate(TIMES)
        page.keyboard.press("Enter")
        page.wait_for_function(f"count => ({TIMES})().length > count", arg=len(before))
    times: list[float] = page.evaluate(TIMES)
    return times


def main(
    runs: Runs = RUNS,
    project: ProjectName = None,
    plan: str | None = None,
    jobs: int = 40,
    chromium: str = "chromium",
) -> int:
    """Answer jobs in a browser and print how long the next one takes; returns 1 when the 95th percentile is too long.

    Args:
        plan: the plan; by default the last one.
        jobs: how many jobs to answer; a plan has one for every six candidates.
        chromium: name or path of the program.
    """
    program = shutil.which(chromium)
    if program is None:
        raise UserError(f"there is no program {chromium!r}; on Debian: apt-get install chromium")
    runs_uri = storage.resolve_runs(runs)
    finished = (
        storage.find_record(runs_uri, "plans", plan)
        if plan
        else current(runs_uri, "plans", choose_project(project))
    )
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder, 'votes.db')}"
        with VoteStore(url) as votes:
            num_jobs = join_queue(votes, finished, "painting")
            token = votes.write(lambda c: add_person(c, "simulated", "annotator", simulated=True)).result()
        count = min(jobs, num_jobs - JOBS_AHEAD)
        if count < 1:
            raise UserError(
                f"plan {finished.folder} has {num_jobs} jobs; at least {JOBS_AHEAD + 1} are needed"
            )
        times, frames, version = measure(url, token, program, count)
    show(times, frames, f"{count} jobs of plan {finished.folder}, Chromium {version}")
    return int(float(np.percentile(times, PERCENTILE)) > LIMIT_MS)


def measure(votes: str, token: str, program: str, count: int) -> tuple[list[float], list[float], str]:
    """Answer `count` jobs of a vote store in a browser.

    Returns:
        Milliseconds to each next job, milliseconds between frames, and the browser's main version.
    """
    service = open_annotation(AnnotationOptions(votes=votes, limits=Limits(requests="100000 per minute")))
    with running(service) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=VIEWPORT)
        page.goto(sign_in_link(address, token))
        page.locator(".board .card").first.wait_for()
        frames = np.diff(page.evaluate(FRAMES)).tolist()
        times = answer(page, count)
        version = re.sub(r"[.].*", "", browser.version)
        browser.close()
    return times, frames, version


def show(times: list[float], frames: list[float], title: str) -> None:
    """Print both kinds of times, in milliseconds."""
    table = Table("milliseconds", "median", "95 %", "most", title=title)
    for name, durations in (
        ("from Enter to the next job painted", times),
        ("from one frame to the next", frames),
    ):
        figures = (np.median(durations), np.percentile(durations, PERCENTILE), max(durations))
        table.add_row(name, *(f"{figure:.0f}" for figure in figures))
    console.print(table)


if __name__ == "__main__":
    run_script(main)
