"""Which teachers are worth their clips: `python experiments/select_teachers.py`, then the same with `--choose`.

Every finished teacher animates a small pilot of prompts, each several times. Teachers are judged by their best clips
rather than their mean, and by what the others cannot do (paper section 3.2). The evidence is on a page; a person
decides, and experiments/candidates.py obeys. A program's suggestion is printed and never recorded as a choice.
"""

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
from rich.markup import escape
from rich.table import Table

from actors.screen import console
from experiments.candidates import (
    PlanRequest,
    announce,
    gather_stickers,
    licence_of,
    make_candidates,
    origin_of,
)
from experiments.cli.ensembles import encoders_of, find_teachers, planned
from experiments.cli.options import RUNS, Runs, run_script
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
    """What a choice rests on: the pilot's clips and their scores."""

    plan: Plan
    teachers: dict[str, Origin]
    candidates: list[Candidate]
    scored: list[Scored]
    quality: Quality

    @property
    def digest(self) -> str:
        """12 characters that differ as soon as one score does."""
        rows = sorted((clip.candidate_id, clip.quality) for clip in self.scored)
        return content_id("selection", self.plan.plan_id, self.quality.name, self.quality.source, rows)[:12]

    @property
    def pilot(self) -> Pilot:
        """The scored clips with the figures that follow from them."""
        return Pilot(self.scored, able=self.quality.able)


def record_evidence(
    runs: str, project: str, evidence: Evidence, suggested: Sequence[str], threshold: float
) -> storage.Artifact:
    """Write the scores and their figures, unless they are written already."""
    uri = storage.join(runs, "selection", evidence.digest)
    if not storage.exists(storage.join(uri, storage.RECORD)):
        table = pa.Table.from_pylist([asdict(row) for row in evidence.scored], schema=SCORED)
        storage.write_table(storage.join(uri, "clips.parquet"), table, SCORED)
        record = {
            "kind": "selection",
            "digest": evidence.digest,
            "project": project,
            "plan_id": evidence.plan.plan_id,
            "quality": evidence.quality.name,
            "source": evidence.quality.source,
            "simulated": evidence.quality.simulated,
            "teachers": {name: asdict(row) for name, row in evidence.teachers.items()},
            "figures": [asdict(row) for row in evidence.pilot.figures()],
            "order": [asdict(row) for row in evidence.pilot.greedy()],
            "suggested": {"threshold": threshold, "teachers": list(suggested)},
        }
        storage.write_record(uri, record)
    return storage.Artifact(uri, storage.read_record(uri))


def show(evidence: Evidence, suggested: Sequence[str], threshold: float) -> None:
    """Print the table of teachers, what each adds to those before it, and what a program would take."""
    mark = " (simulated)" if evidence.quality.simulated else ""
    table = Table(
        "teacher", "best", "all clips", "lost without", "at equal clips", "can do", "only it", "ahead at",
        "motion/s", "consistency", title=f"teachers by their best clips{mark}",
    )  # fmt: skip
    for figures in evidence.pilot.figures():
        table.add_row(
            figures.teacher,
            _span(figures.best),
            f"{figures.mean:.2f}",
            _span(figures.lost, "+.3f"),
            _span(figures.lost_at_equal_clips, "+.3f"),
            str(figures.able),
            " ".join([str(len(figures.only)), *(f"({name})" for name in figures.only_groups)]),
            ", ".join(f"{name} {lead:+.2f}" for name, lead in figures.ahead.items()),
            f"{figures.speed:.0f}",
            f"{figures.consistency:.2f}",
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
        f"a program would take {', '.join(suggested)} (threshold {threshold}){mark}; a person chooses",
        highlight=False,
        soft_wrap=True,
    )


def _span(interval: Interval, form: str = ".2f") -> str:
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def wall(evidence: Evidence) -> list[PromptRow]:
    """Up to `ROWS_SHOWN` prompts, spread over the groups, with each teacher's best and median clip."""
    clips = {
        candidate.candidate_id: candidate for candidate in evidence.candidates if candidate.clip is not None
    }
    by_prompt: defaultdict[str, list[Scored]] = defaultdict(list)
    for clip in evidence.scored:
        by_prompt[clip.prompt].append(clip)
    turns: defaultdict[str, int] = defaultdict(int)
    queue = []
    for prompt, rows in sorted(by_prompt.items()):
        queue.append((turns[rows[0].group], rows[0].bucket, rows[0].group, prompt))
        turns[rows[0].group] += 1
    shown = sorted(prompt for *_, prompt in sorted(queue)[:ROWS_SHOWN])
    return [_prompt_row(prompt, by_prompt[prompt], clips) for prompt in shown]


def _prompt_row(prompt: str, rows: list[Scored], clips: dict[str, Candidate]) -> PromptRow:
    clips_by_teacher: dict[str, list[ReportClip]] = {}
    for teacher in sorted({clip.teacher for clip in rows}):
        teacher_clips = [clip for clip in rows if clip.teacher == teacher and clip.candidate_id in clips]
        teacher_clips.sort(key=lambda clip: (clip.quality, clip.candidate_id))
        picked = [teacher_clips[-1], teacher_clips[(len(teacher_clips) - 1) // 2]] if teacher_clips else []
        clips_by_teacher[teacher] = [
            ReportClip(
                strip=clips[clip.candidate_id].clip or b"",
                num_frames=clips[clip.candidate_id].num_frames,
                fps=clips[clip.candidate_id].fps,
                size=strip_size(clips[clip.candidate_id].clip or b""),
                note=f"{clip.quality:.2f}",
            )
            for clip in picked
        ]
    return PromptRow(prompt=prompt, bucket=rows[0].bucket, clips=clips_by_teacher)


def command(runs: str, project: str | None, options_given: Mapping[str, Any], names: Sequence[str]) -> str:
    """The command that records a choice on the same pilot, to copy and change."""
    usual = {"quality": "auto", "num-seeds": NUM_SEEDS, "num-prompts": NUM_PROMPTS}
    options = [
        word
        for name, value in options_given.items()
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
    command_again: str,
) -> str:
    """The page in HTML: the evidence, the current choice, and the command for another one."""
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
        command=command_again,
    )
    return render_choosing(data)


def record_the_choice(
    runs: str, project: str, evidence: Evidence, names: Sequence[str], by: str, because: str
) -> None:
    """Record a person's choice.

    Raises:
        UserError: a name is unknown or repeated, or `by` or `because` is empty.
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
    record = record_choice(runs, choice)
    console.print(f"recorded: {escape(choice.sentence)}\n{record.uri}", highlight=False, soft_wrap=True)


def gather_evidence(
    runs: str, truth: Truth | None, request: PlanRequest, project: Project, quality: QualityName
) -> Evidence:
    """Make, measure and score the pilot's clips, also by the project's truth where there is one."""
    finished = make_candidates(runs, request, project=project.name)
    archive = Candidates(finished.uri)
    candidates = [*archive.with_clips(archive)]
    measured = measure_clips(runs, finished, candidates, truth, project.foundation.place)
    chosen = choose_quality(quality, votes_on(runs, request.plan.plan_id), candidates, truth)
    return Evidence(
        plan=request.plan,
        teachers={name: Origin(**origin) for name, origin in finished.record["teachers"].items()},
        candidates=candidates,
        scored=score(candidates, measured, chosen, truth),
        quality=chosen,
    )


def check_words(choose: Sequence[str], by: str, because: str) -> None:
    """Refuse an incomplete choice before anything is drawn."""
    words: dict[str, Any] = {"--choose": choose, "--by": by.strip(), "--because": because.strip()}
    missing = [name for name, value in words.items() if not value]
    if missing and len(missing) < len(words):
        raise UserError(
            f"a choice says which teachers (--choose), who chose (--by) and why (--because); {missing[0]} is empty"
        )


def refuse_unseen(runs: str, kind: str, folder: str) -> None:
    """Refuse a choice whose evidence nobody can have looked at, because it does not exist yet."""
    if not storage.exists(storage.join(runs, kind, folder, storage.RECORD)):
        raise UserError(
            f"there is no finished {storage.join(runs, kind, folder)}: the teachers, their clips or the votes have "
            "changed since somebody last looked; give the same command without --choose and look at the page"
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
    """Show and record the evidence, then the choice made on it, if any; returns what a program would take."""
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
    """Judge the project's finished teachers by a pilot, and record the teachers that a person chooses.

    Args:
        choose: names of the teachers that you choose, once you have looked at the evidence.
        by: who chooses.
        because: why.
        quality: what a clip is worth: votes, truth (where the project has one), pixels, or auto, the first
            of these that there is.
        threshold: gain of quality below which a program would leave a teacher out.
        pictures: your own table of prompts and pictures (CSV or Parquet: prompt, picture, optionally bucket).
        num_prompts: use at most this many prompts of the project's stickers.
        num_seeds: how often each teacher animates each picture.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the project's.
        dry_run: show the pilot and stop.
    """
    chosen, runs = choose_project(project, foundations), storage.resolve_runs(runs)
    check_words(choose, by, because)
    request = pilot_request(runs, chosen, pictures, num_prompts, num_seeds)
    announce(KIND, request.plan)
    if dry_run:
        return
    if choose:
        refuse_unseen(runs, "plans", request.plan.plan_id)
    truth = chosen.evaluation.truth if pictures is None else None
    evidence = gather_evidence(runs, truth, request, chosen, quality)
    suggested = decide(runs, chosen.name, evidence, threshold, choose, by, because)
    options = {"quality": quality, "pictures": pictures, "num-prompts": num_prompts, "num-seeds": num_seeds}
    again = command(runs, project, {**options, "foundations": foundations}, suggested)
    html = page(chosen, evidence, suggested, threshold, current_choice(runs, chosen.name), again)
    storage.write_bytes(storage.join(runs, PAGE), html.encode())
    console.print(f"page: {storage.join(runs, PAGE)}", soft_wrap=True, highlight=False)


def pilot_request(
    runs: str, project: Project, pictures: str | None, num_prompts: int, num_seeds: int
) -> PlanRequest:
    """The pilot: a few prompts by every finished teacher, several times each."""
    teachers = find_teachers(runs, project, ())
    stickers = first_prompts(gather_stickers(runs, project, pictures, None), num_prompts)
    encoders = encoders_of(teachers, project.foundation.place, {})
    ensemble = [planned(name, training, encoders[name]) for name, training in teachers.items()]
    return PlanRequest(
        plan=pilot_plan(project, stickers, ensemble, num_seeds),
        teachers=teachers,
        encoders=encoders,
        stickers_from=origin_of(runs, project, pictures),
        licence=licence_of(project, origin_of(runs, project, pictures)),
        kind=KIND,
        refused=stickers.refused,
    )


if __name__ == "__main__":
    run_script(main)
