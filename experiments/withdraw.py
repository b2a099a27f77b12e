"""Withdraw a video, a sticker or a person's votes: `python experiments/withdraw.py --votes-of NAME`.

It follows the thing through everything that descends from it and shows what becomes of each, asks, and then removes the
thing itself. What only learned from it is marked, and commands refuse it until it is made again. It may be stopped and
given again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial

from rich.markup import escape
from rich.table import Table

from actors.preview import NUM_CLIPS
from actors.screen import console
from actors.tracking import Tracking
from experiments.cli.keeping import vote_stores
from experiments.cli.options import RUNS, Runs, confirm, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from stickers import storage
from stickers.artifacts.records import Sticker
from stickers.errors import UserError
from stickers.housekeeping.lineage import TRAININGS
from stickers.housekeeping.sticker_withdrawal import withdraw_sticker
from stickers.housekeeping.video_withdrawal import withdraw_video
from stickers.housekeeping.vote_withdrawal import withdraw_votes
from stickers.housekeeping.withdrawal import LEARNED, REMOVED, Withdrawal, WithdrawalStep, carry_out
from stickers.housekeeping.withdrawn import Policy, Withdrawn
from stickers.project import Project
from stickers.prompts.sources import DrawnStickers

#: the tag of runs and registered models that learned from what was withdrawn
TAG = "withdrawn"


def stickers_of(project: Project) -> list[Sticker]:
    """The stickers that a project brings itself, held-out ones too."""
    rows = list(project.evaluation.stickers.stickers().stickers)
    if not isinstance(project.stickers, DrawnStickers):
        rows += project.stickers.stickers().stickers
    return rows


def mlflow_steps(runs: str, withdrawal: Withdrawal, project: Project) -> Iterator[WithdrawalStep]:
    """Tags on runs and registered models that learned from it, and previews that may show a sticker."""
    previewed = any(
        Withdrawn(
            stickers=frozenset(withdrawal.request.stickers), pictures=frozenset(withdrawal.request.pictures)
        ).holds(row)
        for row in (
            project.evaluation.stickers.stickers(NUM_CLIPS).stickers if withdrawal.request.stickers else ()
        )
    )
    if not withdrawal.learned and not previewed:
        return
    tracking, text = Tracking.open(runs), withdrawal.request.withdrawal_id
    names = [name for name in withdrawal.learned if name.split("/")[0] in TRAININGS]
    for name in names:
        record = storage.read_record(storage.join(runs, name))
        run_id = str(record.get("mlflow_run", ""))
        act = partial(tracking.tag, [run_id], TAG, text)
        yield WithdrawalStep(
            kind="mlflow run", artifact=run_id, effect=LEARNED, detail=f"{name}: it gets a tag", act=act
        )
    folders = [storage.join(runs, name) for name in withdrawal.learned if name.startswith("exported/")]
    for version in tracking.versions_in(folders):
        act = partial(tracking.tag_version, version, TAG, text)
        detail = "it gets a tag; it is served with a warning until you register another"
        yield WithdrawalStep(kind="model", artifact=" ".join(version), effect=LEARNED, detail=detail, act=act)
    for run_id in tracking.previewed(project.name) if previewed else ():
        act = partial(tracking.remove_previews, run_id)
        yield WithdrawalStep(
            kind="mlflow run", artifact=run_id, effect=REMOVED, detail="previews show it", act=act
        )


def show(steps: Iterable[WithdrawalStep]) -> None:
    """A row an artifact, and how many of each effect."""
    table = Table(
        "kind", "artifact", "what becomes of it", "how much", title="everything that descends from it"
    )
    effects: Counter[str] = Counter()
    for step in steps:
        effects[step.effect] += 1
        table.add_row(
            step.kind,
            escape(step.artifact),
            step.effect,
            escape(step.detail),
            style="yellow" if step.effect == LEARNED else None,
        )
    console.print(table)
    console.print(", ".join(f"{effect}: {count}" for effect, count in effects.items()), highlight=False)


def main(
    runs: Runs = RUNS,
    project: ProjectName = None,
    video: str | None = None,
    sticker: str | None = None,
    votes_of: str | None = None,
    reason: str = "",
    learned: Policy = "refuse",
    votes: str | None = None,
    dry_run: bool = False,
    yes: bool = False,
) -> None:
    """Withdraw one thing from a runs folder and everything that descends from it.

    Args:
        video: a video's file or URI as the manifest has it, its clip id, or its content hash.
        sticker: a sticker's id, or the file of its picture.
        votes_of: the name of a person whose votes are withdrawn.
        reason: why; it stands in the record of the withdrawal.
        learned: what commands do with what only learned from it: refuse it until it is made again, or warn.
        votes: SQLAlchemy URL of the vote store; by default STICKERS_VOTES and the files in the runs folder.
        dry_run: list what it concerns and stop.
        yes: do not ask.
    """
    things = {"--video": video, "--sticker": sticker, "--votes-of": votes_of}
    if sum(thing is not None for thing in things.values()) != 1:
        raise UserError(f"give one of {', '.join(things)}")
    chosen, runs_uri = choose_project(project), storage.resolve_runs(runs)
    stores = vote_stores(runs_uri, votes)
    if video is not None:
        withdrawal = withdraw_video(runs_uri, video, reason=reason, policy=learned)
    elif sticker is not None:
        withdrawal = withdraw_sticker(
            runs_uri, sticker, vote_stores=stores, others=stickers_of(chosen), reason=reason, policy=learned
        )
    else:
        withdrawal = withdraw_votes(
            runs_uri, str(votes_of), vote_stores=stores, reason=reason, policy=learned
        )
    steps = [*withdrawal.steps, *mlflow_steps(runs_uri, withdrawal, chosen)]
    if steps:
        show(steps)
    else:
        console.print("nothing descends from it yet; from now on every stage leaves it out", highlight=False)
    if dry_run:
        return
    if not yes and not confirm("withdraw it? Removed rows and files do not come back."):
        console.print("nothing was removed")
        return
    folder = carry_out(runs_uri, withdrawal, steps)
    console.print(f"withdrawn: {folder}", highlight=False, soft_wrap=True)
    if steps:
        console.print(
            "commands say what is to be made again; experiments/quickstart.py runs the whole chain",
            highlight=False,
            soft_wrap=True,
        )


if __name__ == "__main__":
    run_script(main)
