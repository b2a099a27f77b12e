"""A flag waits for a lead, and a ruling counts instead of the votes."""

from stickers.annotation.jobs import build_jobs
from stickers.annotation.kept import kept_rows
from stickers.annotation.settings import Settings
from stickers.annotation.tally import verdicts
from tests.support.choosing import answered, votes_of
from tests.support.clips import ROWS


def test_a_flag_waits_for_a_lead_and_a_lead_decides() -> None:
    good, two, one, other = (row.candidate_id for row in ROWS[:4])
    votes = votes_of({name: {good, two} for name in ("ana", "ben")}, {good, two, one, other})
    for job in build_jobs(ROWS, plan_id="p", round_number=1):
        flagged = [name for name in job.candidates if name == two]
        votes.append(answered(job, "cem", {good}, flagged=flagged, flags=["unsafe"] * len(flagged)))
    now = Settings()
    assert {row.candidate_id for row in kept_rows(ROWS, votes, now)} == {good}
    by_name = {clip[0]: verdict for clip, verdict in verdicts(votes, 1, now.rounds[0]).items()}
    assert (
        by_name[two].disputed
        and by_name[two].yes == 2
        and by_name[two].flags == ("unsafe",)
        and not by_name[one].disputed
    )
    ruling = build_jobs(ROWS[:4], plan_id="p", round_number=1, kind="ruling")[0]
    votes.append(answered(ruling, "lea", {two, one}))
    kept = {row.candidate_id: row for row in kept_rows(ROWS, votes, now)}
    assert set(kept) == {two, one} and kept[one].experts == ["lea", "expert"] and kept[one].accepted_by == []
