"""Rejected siblings of kept clips as preference pairs: of one picture and prompt, what was kept over what was not.

Nobody compared the two directly; each was judged on its own, so a pair says that one was worth sharing and the other
was not. A pair is only made of clips that people have decided about. What nobody has judged yet, or what waits for more
votes or for a lead's word, is no rejection, and neither is a flag, a person's or a program's.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from stickers.annotation.kept import Clip, Tally, tally, through
from stickers.annotation.settings import Settings
from stickers.artifacts.records import Candidate, Preference, Vote


def preferences(
    candidates: Iterable[Candidate], votes: Sequence[Vote], settings: Settings
) -> list[Preference]:
    """Every pair of a kept and a rejected clip of one sticker, sorted by prompt, sticker and both ids.

    Args:
        candidates: without clips is enough.
        votes: those that count.
        settings: by which clips are kept. A clip is rejected by the first round whose quorum it missed when all its
            people had judged it, or by a lead.
    """
    tallies = [tally(votes, round=number) for number in range(1, len(settings.rounds) + 1)]
    kept, out = through(votes, settings)[-1], rejected(tallies, settings)
    simulated = {each.job_id for each in votes if each.simulated}
    siblings: defaultdict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for row in candidates:
        if (row.candidate_id, row.clip_digest) in kept | out:
            siblings[row.prompt, row.sticker_id].append(row)
    pairs = []
    for _, rows in sorted(siblings.items()):
        rows.sort(key=lambda row: row.candidate_id)
        good, bad = ([row for row in rows if _clip(row) in some] for some in (kept, out))
        pairs += [
            _pair(one, other, tallies, simulated)
            for one in good
            for other in bad
            if one.clip_digest != other.clip_digest
        ]
    return pairs


def rejected(tallies: Sequence[Mapping[Clip, Tally]], settings: Settings) -> set[Clip]:
    """The clips that a round has decided against, given each round's tally."""
    found: set[Clip] = set()
    for each, asked in zip(tallies, settings.rounds, strict=True):
        for clip, seen in each.items():
            yes, no = len(seen.picked_by), len(seen.passed_by)
            by_people = yes + no >= asked.people and yes < asked.quorum
            if by_people if seen.ruling is None else not seen.ruling:
                found.add(clip)
    return found


def _clip(row: Candidate) -> Clip:
    assert row.clip_digest is not None, "people judge clips alone"
    return row.candidate_id, row.clip_digest


def _pair(
    one: Candidate, other: Candidate, tallies: Sequence[Mapping[Clip, Tally]], simulated: set[str]
) -> Preference:
    ayes, noes, jobs = zip(*(_counts(_clip(row), tallies) for row in (one, other)), strict=True)
    return Preference(
        plan_id=one.plan_id,
        sticker_id=one.sticker_id,
        prompt=one.prompt,
        bucket=one.bucket,
        chosen=one.candidate_id,
        chosen_digest=_clip(one)[1],
        rejected=other.candidate_id,
        rejected_digest=_clip(other)[1],
        chosen_for=ayes[0],
        chosen_against=noes[0],
        rejected_for=ayes[1],
        rejected_against=noes[1],
        simulated=bool(simulated & set().union(*jobs)),
    )


def _counts(clip: Clip, tallies: Sequence[Mapping[Clip, Tally]]) -> tuple[int, int, set[str]]:
    """Votes for and against a clip, and the jobs they were given in."""
    seen = [each[clip] for each in tallies if clip in each]
    ayes = sum(len(each.picked_by) + len(each.ruled_by) * (each.ruling is True) for each in seen)
    noes = sum(len(each.passed_by) + len(each.ruled_by) * (each.ruling is False) for each in seen)
    return ayes, noes, {job for each in seen for job in each.jobs}
