"""How fast the next job is painted: `python experiments/trials/painting.py --runs RUNS`.

A headless Chromium answers job after job of a finished plan, as a person would by keyboard, on a service of its own
with a store of its own. Measured is the time from the key press that submits to the frame in which all stickers of the
next job are drawn, beside the browser's own frames in the same run: nothing is painted faster than the next of them.
"""

import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from experiments.cli.keeping import join_queue
from experiments.cli.options import RUNS, Runs, current, run_script
from experiments.cli.projects import ProjectName, choose_project
from serve.annotation.deployment import AnnotationOptions, open_annotation
from serve.annotation.engine import Limits
from serve.annotation.lead import sign_in_link
from serve.standalone import running
from stickers import storage
from stickers.annotation.store.people import add_person
from stickers.annotation.store.votes import VoteStore
from stickers.errors import UserError

LIMIT_MS = 100.0
FRAMES = """() => new Promise((done) => {
    const times = [];
    const look = (now) => { times.push(now); times.length < 60 ? requestAnimationFrame(look) : done(times); };
    requestAnimationFrame(look);
})"""
TIMES = "() => performance.getEntriesByName('next-job').map((entry) => entry.duration)"
console = Console()


def answer(page: Page, jobs: int) -> list[float]:
    """Milliseconds from each key press to the painted next job."""
    for _ in tqdm(range(jobs), desc="jobs", unit="job"):
        page.locator('#desk[data-ready="1"]').wait_for()
        page.keyboard.press("1")
        before = page.evaluate(TIMES)
        page.keyboard.press("Enter")
        page.wait_for_function(f"count => ({TIMES})().length > count", arg=len(before))
    found: list[float] = page.evaluate(TIMES)
    return found


def main(
    runs: Runs = RUNS,
    project: ProjectName = None,
    plan: str | None = None,
    jobs: int = 40,
    chromium: str = "chromium",
) -> int:
    """Answer jobs in a browser and print how long the next one takes; returns 1 when the 95th percentile is too long.

    Args:
        plan: by default the one made last.
        jobs: to answer; the plan has a sixth of its candidates.
        chromium: the program.
    """
    program = shutil.which(chromium)
    if program is None:
        raise UserError(f"there is no program {chromium!r}; on Debian: apt-get install chromium")
    place = storage.resolve_runs(runs)
    found = (
        storage.find_record(place, "plans", plan)
        if plan
        else current(place, "plans", choose_project(project))
    )
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder, 'votes.db')}"
        with VoteStore(url) as votes:
            there = join_queue(votes, found, "painting")
            token = votes.write(lambda c: add_person(c, "simulated", "annotator", simulated=True)).result()
        count = min(jobs, there - 2)
        if count < 1:
            raise UserError(f"plan {found.folder} has {there} jobs; at least 3 are needed")
        service = open_annotation(AnnotationOptions(votes=url, limits=Limits(requests="100000 per minute")))
        with running(service) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=program, args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(sign_in_link(address, token))
            page.locator(".board .card").first.wait_for()
            frames = np.diff(page.evaluate(FRAMES))
            times = answer(page, count)
            version = browser.version
            browser.close()
    show(
        times,
        frames.tolist(),
        f"{count} jobs of plan {found.folder}, Chromium {re.sub(r'[.].*', '', version)}",
    )
    return int(float(np.percentile(times, 95)) > LIMIT_MS)


def show(times: list[float], frames: list[float], title: str) -> None:
    table = Table("milliseconds", "median", "95 %", "most", title=title)
    for name, some in (("from Enter to the next job painted", times), ("from one frame to the next", frames)):
        figures = (np.median(some), np.percentile(some, 95), max(some))
        table.add_row(name, *(f"{each:.0f}" for each in figures))
    console.print(table)


if __name__ == "__main__":
    run_script(main)
