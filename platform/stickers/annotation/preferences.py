"""Preference pairs: a kept clip and a rejected one of the same picture and prompt.

Nobody compared the two directly. Each was judged by itself, so a pair says that one was worth sharing and the other was
not. Both clips must be decided: a clip that nobody has judged, or that waits for more votes or for a ruling, is not
rejected, and neither is one that a person or an automatic check has only flagged.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from stickers.annotation.settings import Settings
from stickers.annotation.tally import Clip, Tally, surviving_clips, tally
from stickers.artifacts.records import Candidate, Preference, Vote


def preferences(
    candidates: Iterable[Candidate], votes: Sequence[Vote], settings: Settings
) -> list[Preference]:
    """Every pair of a kept and a rejected clip of one sticker, sorted by prompt, sticker and both ids.

    Args:
        candidates: their clips may be left out.
        votes: those that count.
        settings: the rounds. A clip is rejected by the first round in which it missed the quorum although enough people
            had judged it, or by a ruling.
    """
    tallies = [tally(votes, round_number=number) for number in range(1, len(settings.rounds) + 1)]
    kept, turned_down = surviving_clips(votes, settings)[-1], rejected(tallies, settings)
    simulated = {vote.job_id for vote in votes if vote.simulated}
    siblings: defaultdict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for row in candidates:
        if (row.candidate_id, row.clip_digest) in kept | turned_down:
            siblings[row.prompt, row.sticker_id].append(row)
    pairs = []
    for _, rows in sorted(siblings.items()):
        rows.sort(key=lambda row: row.candidate_id)
        good, bad = ([row for row in rows if _clip(row) in clips] for clips in (kept, turned_down))
        pairs += [
            _pair(chosen, passed_over, tallies, simulated)
            for chosen in good
            for passed_over in bad
            if chosen.clip_digest != passed_over.clip_digest
        ]
    return pairs


def rejected(tallies: Sequence[Mapping[Clip, Tally]], settings: Settings) -> set[Clip]:
    """The clips that some round decided against.

    Args:
        tallies: of each round.
    """
    clips: set[Clip] = set()
    for tallies_of_round, rules in zip(tallies, settings.rounds, strict=True):
        for clip, counted in tallies_of_round.items():
            yes, no = len(counted.picked_by), len(counted.passed_by)
            by_people = yes + no >= rules.people and yes < rules.quorum
            if by_people if counted.ruling is None else not counted.ruling:
                clips.add(clip)
    return clips


def _clip(row: Candidate) -> Clip:
    assert row.clip_digest is not None, "people judge nothing but clips"
    return row.candidate_id, row.clip_digest


def _pair(
    chosen: Candidate, passed_over: Candidate, tallies: Sequence[Mapping[Clip, Tally]], simulated: set[str]
) -> Preference:
    num_for, num_against, jobs = zip(
        *(_counts(_clip(row), tallies) for row in (chosen, passed_over)), strict=True
    )
    return Preference(
        plan_id=chosen.plan_id,
        sticker_id=chosen.sticker_id,
        prompt=chosen.prompt,
        bucket=chosen.bucket,
        chosen=chosen.candidate_id,
        chosen_digest=_clip(chosen)[1],
        rejected=passed_over.candidate_id,
        rejected_digest=_clip(passed_over)[1],
        chosen_for=num_for[0],
        chosen_against=num_against[0],
        rejected_for=num_for[1],
        rejected_against=num_against[1],
        simulated=bool(simulated & set().union(*jobs)),
    )


def _counts(clip: Clip, tallies: Sequence[Mapping[Clip, Tally]]) -> tuple[int, int, set[str]]:
    """Votes for and against a clip, and the jobs in which they were given."""
    counted = [of_round[clip] for of_round in tallies if clip in of_round]
    num_for = sum(len(votes.picked_by) + len(votes.ruled_by) * (votes.ruling is True) for votes in counted)
    num_against = sum(
        len(votes.passed_by) + len(votes.ruled_by) * (votes.ruling is False) for votes in counted
    )
    return num_for, num_against, {job for votes in counted for job in votes.jobs}
