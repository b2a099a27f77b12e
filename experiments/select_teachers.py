"""Which teachers are worth their clips: `python experiments/select_teachers.py`, then the same with `--choose`.

Every finished teacher draws a small pilot of prompts, several times each. Teachers are judged by their best clips, not
by their mean, and by what the others cannot do (paper section 3.2). The evidence stands on a page; a person decides,
and experiments/candidates.py obeys. What a program suggests is printed and never recorded as anybody's choice.
"""

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments.candidates import announce, gather_stickers, make_candidates, origin_of
from experiments.cli.ensembles import find_teachers, planned
from experiments.cli.options import RUNS, Runs, foundations_of, run_script
from experiments.cli.pilot import (
    KIND,
    QualityName,
    choose_quality,
    measure_clips,
    pilot_plan,
    score,
    votes_on,
)
from experiments.cli.project_choice import ProjectName, choose_project
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import Candidate
from stickers.candidates.archive import Candidates
from stickers.candidates.plan import Plan
from stickers.errors import UserError
from stickers.evaluation.choice import Choice, Origin, current_choice, record_choice
from stickers.evaluation.quality import Quality
from stickers.evaluation.report import PromptRow, ReportClip
from stickers.evaluation.teacher_page import choosing_data, render_choosing
from stickers.evaluation.teacher_selection import Interval, Pilot, Scored, suggest
from stickers.evaluation.truth import Truth
from stickers.project import Project
from stickers.prompts.sources import first_prompts
from stickers.video.codec import strip_size

console = Console()
NUM_PROMPTS, NUM_SEEDS = 30, 2
THRESHOLD = 0.01
"""A gain of quality below this is not worth a teacher's clips."""
PAGE = "teachers.html"
ROWS_SHOWN = 12
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


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a choice rests on: the pilot's clips, scored and counted."""

    plan: Plan
    teachers: dict[str, Origin]
    candidates: list[Candidate]
    scored: list[Scored]
    quality: Quality

    @property
    def digest(self) -> str:
        """12 characters that change with any score."""
        rows = sorted((each.candidate_id, each.quality) for each in self.scored)
        return content_id("selection", self.plan.plan_id, self.quality.name, self.quality.source, rows)[:12]

    @property
    def pilot(self) -> Pilot:
        return Pilot(self.scored, able=self.quality.able)


def record_evidence(
    runs: str, project: str, evidence: Evidence, suggested: Sequence[str], threshold: float
) -> storage.Artifact:
    """Write the scores and their figures, unless they are there."""
    uri = storage.join(runs, "selection", evidence.digest)
    if not storage.exists(storage.join(uri, storage.RECORD)):
        table = pa.Table.from_pylist([asdict(each) for each in evidence.scored], schema=SCORED)
        storage.write_table(storage.join(uri, "clips.parquet"), table, SCORED)
        record = {
            "kind": "selection",
            "digest": evidence.digest,
            "project": project,
            "plan_id": evidence.plan.plan_id,
            "quality": evidence.quality.name,
            "source": evidence.quality.source,
            "simulated": evidence.quality.simulated,
            "teachers": {name: asdict(each) for name, each in evidence.teachers.items()},
            "figures": [asdict(each) for each in evidence.pilot.figures()],
            "order": [asdict(each) for each in evidence.pilot.greedy()],
            "suggested": {"threshold": threshold, "teachers": list(suggested)},
        }
        storage.write_record(uri, record)
    return storage.Artifact(uri, storage.read_record(uri))


def show(evidence: Evidence, suggested: Sequence[str], threshold: float) -> None:
    """The table of teachers, the order in which they add, and what a program would take."""
    mark = " (simulated)" if evidence.quality.simulated else ""
    table = Table(
        "teacher", "best", "all clips", "lost without", "at equal clips", "can do", "only it", "ahead at",
        "motion/s", "consistency", title=f"teachers by their best clips{mark}",
    )  # fmt: skip
    for each in evidence.pilot.figures():
        table.add_row(
            each.teacher,
            _span(each.best),
            f"{each.mean:.2f}",
            _span(each.lost, "+.3f"),
            _span(each.lost_at_equal_clips, "+.3f"),
            str(each.able),
            " ".join([str(len(each.only)), *(f"({name})" for name in each.only_groups)]),
            ", ".join(f"{name} {lead:+.2f}" for name, lead in each.ahead.items()),
            f"{each.speed:.0f}",
            f"{each.consistency:.2f}",
        )
    console.print(table)
    console.print(evidence.quality.explanation, highlight=False, soft_wrap=True)
    for step in evidence.pilot.greedy():
        console.print(
            f"{step.teacher}: best so far {step.reached.value:.3f}, adds {step.added.value:+.3f}, "
            f"at equal clips {step.added_at_equal_clips.value:+.3f}"
            + (f", needed for {', '.join(step.needed_for)}" if step.needed_for else ""),
            highlight=False,
            soft_wrap=True,
        )
    console.print(
        f"a program would take {', '.join(suggested)} (threshold {threshold}){mark}; it is a person who chooses",
        highlight=False,
        soft_wrap=True,
    )


def _span(each: Interval, form: str = ".2f") -> str:
    return f"{each.value:{form}} [{each.low:{form}}, {each.high:{form}}]"


def wall(evidence: Evidence) -> list[PromptRow]:
    """Some prompts, of every group before a second of any, with each teacher's best and its median clip."""
    clips = {each.candidate_id: each for each in evidence.candidates if each.clip is not None}
    by_prompt: defaultdict[str, list[Scored]] = defaultdict(list)
    for each in evidence.scored:
        by_prompt[each.prompt].append(each)
    turns: defaultdict[str, int] = defaultdict(int)
    queue = []
    for prompt, rows in sorted(by_prompt.items()):
        queue.append((turns[rows[0].group], rows[0].bucket, rows[0].group, prompt))
        turns[rows[0].group] += 1
    shown = sorted(prompt for *_, prompt in sorted(queue)[:ROWS_SHOWN])
    return [_prompt_row(prompt, by_prompt[prompt], clips) for prompt in shown]


def _prompt_row(prompt: str, rows: list[Scored], clips: dict[str, Candidate]) -> PromptRow:
    found: dict[str, list[ReportClip]] = {}
    for teacher in sorted({each.teacher for each in rows}):
        mine = [each for each in rows if each.teacher == teacher and each.candidate_id in clips]
        mine.sort(key=lambda each: (each.quality, each.candidate_id))
        picked = [mine[-1], mine[(len(mine) - 1) // 2]] if mine else []
        found[teacher] = [
            ReportClip(
                strip=clips[each.candidate_id].clip or b"",
                num_frames=clips[each.candidate_id].num_frames,
                fps=clips[each.candidate_id].fps,
                size=strip_size(clips[each.candidate_id].clip or b""),
                note=f"{each.quality:.2f}",
            )
            for each in picked
        ]
    return PromptRow(prompt=prompt, bucket=rows[0].bucket, clips=found)


def command(runs: str, project: str | None, given: Mapping[str, Any], names: Sequence[str]) -> str:
    """The command that records a choice on the same pilot, ready to be changed."""
    usual = {"quality": "auto", "num-seeds": NUM_SEEDS, "num-prompts": NUM_PROMPTS}
    options = [
        word
        for name, value in given.items()
        if value is not None and value != usual.get(name)
        for word in (f"--{name}", str(value))
    ]
    named = ("--project", project) if project else ()
    start = ("python", "experiments/select_teachers.py", "--runs", runs, *named, *options)
    return shlex.join((*start, "--choose", *names, "--by", "YOUR NAME", "--because", "WHY THESE"))


def page(
    project: Project,
    evidence: Evidence,
    suggested: Sequence[str],
    threshold: float,
    standing: Choice | None,
    again: str,
) -> str:
    """The page as it is now: the evidence, the choice that stands, and the command for another."""
    seeds = len(evidence.scored) // (len(evidence.plan.stickers) * len(evidence.teachers))
    data = choosing_data(
        evidence.pilot,
        title=f"Choosing teachers: {project.name}",
        facts=[
            ("prompts", str(len(evidence.plan.prompts))),
            ("pictures", str(len(evidence.plan.stickers))),
            ("clips a picture and teacher", str(seeds)),
            ("evidence", evidence.digest),
        ],
        quality=evidence.quality.explanation,
        simulated=evidence.quality.simulated,
        threshold=threshold,
        suggested=suggested,
        rows=wall(evidence),
        choice=standing.sentence if standing else "",
        command=again,
    )
    return render_choosing(data)


def record_the_choice(
    runs: str, project: str, evidence: Evidence, names: Sequence[str], by: str, because: str
) -> None:
    """A person's choice, written down.

    Raises:
        UserError: a name is unknown or given twice, or who and why are not said.
    """
    unknown = [name for name in names if name not in evidence.teachers]
    if unknown:
        raise UserError(
            f"--choose names {unknown[0]!r}, which drew no clip of this pilot; teachers are: "
            f"{', '.join(sorted(evidence.teachers))}"
        )
    if len(set(names)) < len(names):
        raise UserError(f"--choose names a teacher twice: {', '.join(names)}")
    choice = Choice(
        project=project,
        teachers={name: evidence.teachers[name] for name in sorted(names)},
        by=by.strip(),
        because=because.strip(),
        evidence=evidence.digest,
        simulated=evidence.quality.simulated,
    )
    found = record_choice(runs, choice)
    console.print(f"recorded: {escape(choice.sentence)}\n{found.uri}", highlight=False, soft_wrap=True)


def gather_evidence(
    runs: str,
    truth: Truth | None,
    plan: Plan,
    made: storage.Artifact,
    base: str,
    quality: QualityName,
) -> Evidence:
    """A finished pilot, measured and scored, by the project's truth too where there is one."""
    found = Candidates(made.uri)
    candidates = [*found.whole(found)]
    measured = measure_clips(runs, made, candidates, truth, base)
    votes = votes_on(runs, plan.plan_id)
    chosen = choose_quality(quality, votes, candidates, truth)
    return Evidence(
        plan=plan,
        teachers={name: Origin(**origin) for name, origin in made.record["teachers"].items()},
        candidates=candidates,
        scored=score(candidates, measured, chosen, truth),
        quality=chosen,
    )


def check_words(choose: Sequence[str], by: str, because: str) -> None:
    """Refuse half a choice before anything is drawn."""
    given: dict[str, Any] = {"--choose": choose, "--by": by.strip(), "--because": because.strip()}
    missing = [name for name, value in given.items() if not value]
    if missing and len(missing) < len(given):
        raise UserError(
            f"a choice says which teachers (--choose), who chose (--by) and why (--because); {missing[0]} is empty"
        )


def refuse_unseen(runs: str, kind: str, folder: str) -> None:
    """Nobody chooses on evidence that was not there to be looked at."""
    if not storage.exists(storage.join(runs, kind, folder, storage.RECORD)):
        raise UserError(
            f"there is no finished {storage.join(runs, kind, folder)}: the teachers, their clips or the votes are not "
            "what they were when somebody last looked; give the same command without --choose and look at the page"
        )


def decide(
    runs: str,
    project: str,
    evidence: Evidence,
    threshold: float,
    choose: Sequence[str],
    by: str,
    because: str,
) -> tuple[str, ...]:
    """Show the evidence and keep it, then the choice that was made on it, if any; returns what a program would take."""
    if choose:
        refuse_unseen(runs, "selection", evidence.digest)
    suggested = suggest(evidence.pilot.greedy(), threshold)
    show(evidence, suggested, threshold)
    record_evidence(runs, project, evidence, suggested, threshold)
    if choose:
        record_the_choice(runs, project, evidence, choose, by, because)
    return suggested


def main(
    runs: Runs = RUNS,
    project: ProjectName = None,
    choose: tuple[str, ...] = (),
    by: str = "",
    because: str = "",
    quality: QualityName = "auto",
    threshold: float = THRESHOLD,
    pictures: str | None = None,
    num_prompts: int = NUM_PROMPTS,
    num_seeds: int = NUM_SEEDS,
    foundations: str | None = None,
    dry_run: bool = False,
) -> None:
    """Judge the project's finished teachers by a pilot, and record whom a person chooses.

    Args:
        choose: names of the teachers that you choose; the evidence must be there already.
        by: who chooses.
        because: why.
        quality: what a clip is worth: votes, truth (where the project has one), pixels, or auto, the first
            of these that there is.
        threshold: gain of quality below which a program would leave a teacher out.
        pictures: your own table of prompts and pictures (CSV or Parquet: prompt, picture, optionally bucket).
        num_prompts: how many prompts of the project's stickers at most.
        num_seeds: how often each teacher draws each picture.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the project's.
        dry_run: show the pilot and stop.
    """
    chosen, place = choose_project(project), storage.resolve_runs(runs)
    check_words(choose, by, because)
    base = foundations_of(chosen, foundations)
    found = find_teachers(place, chosen, ())
    sources = first_prompts(gather_stickers(place, chosen, pictures, None), num_prompts)
    plan = pilot_plan(chosen, sources, [planned(name, each, base) for name, each in found.items()], num_seeds)
    announce(KIND, plan)
    if dry_run:
        return
    if choose:
        refuse_unseen(place, "plans", plan.plan_id)
    made = make_candidates(
        place,
        plan,
        found,
        dict.fromkeys(found, base),
        project=chosen.name,
        refused=sources.refused,
        origin=origin_of(place, chosen, pictures),
        kind=KIND,
    )
    evidence = gather_evidence(
        place, chosen.evaluation.truth if pictures is None else None, plan, made, base, quality
    )
    suggested = decide(place, chosen.name, evidence, threshold, choose, by, because)
    given = {"quality": quality, "pictures": pictures, "num-prompts": num_prompts, "num-seeds": num_seeds}
    again = command(place, project, {**given, "foundations": foundations}, suggested)
    whole = page(chosen, evidence, suggested, threshold, current_choice(place, chosen.name), again)
    storage.write_bytes(storage.join(place, PAGE), whole.encode())
    console.print(f"page: {storage.join(place, PAGE)}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    run_script(main)
