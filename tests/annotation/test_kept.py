"""What two rounds of answers keep."""

from dataclasses import replace

from stickers.annotation.kept import keep_rates, kept_rows, survivors
from stickers.annotation.settings import RoundSettings, Settings
from tests.support.choosing import votes_of
from tests.support.clips import ROWS


def test_two_of_three_and_then_the_expert() -> None:
    good, two, one, vetoed = (row.candidate_id for row in ROWS[:4])
    picks_of = {"ana": {good, two, one, vetoed}, "ben": {good, two, vetoed}, "cem": {good}}
    votes = votes_of(picks_of, {good, two, one})
    now = Settings()
    assert {r.candidate_id for r in survivors(ROWS, votes, now, rounds=1)} == {good, two, vetoed}
    kept = kept_rows(ROWS, votes, now)
    assert {row.candidate_id for row in kept} == {good, two}
    lineage = next(row for row in kept if row.candidate_id == two)
    assert lineage.accepted_by == ["ana", "ben"] and lineage.experts == ["expert"] and len(lineage.jobs) == 2
    assert lineage.simulated
    assert sum(int(row["kept"]) for row in keep_rates(ROWS, kept)) == 2
    redone = [replace(row, clip_digest="another clip") for row in ROWS]
    assert kept_rows(redone, votes, now) == [], "votes were counted for a clip that nobody judged"


def test_numbers_change_midway_and_no_vote_is_lost() -> None:
    good, two, one, _ = (row.candidate_id for row in ROWS[:4])
    votes = votes_of({"ana": {good, two, one}, "ben": {good, two}, "cem": {good}}, {good, two, one})

    def kept(people: int, quorum: int, *, rounds: int = 2) -> set[str]:
        first = RoundSettings(role="annotator", people=people, quorum=quorum)
        expert = RoundSettings(role="expert", people=1, quorum=1)
        now = Settings(rounds=(first, expert)[:rounds])
        return {row.candidate_id for row in kept_rows(ROWS, votes, now)}

    assert kept(3, 1) == {good, two, one} and kept(3, 2) == {good, two} and kept(3, 3) == {good}
    assert kept(4, 2) == set(), "a fourth person has not judged yet"
    assert kept(2, 2) == {good, two} and kept(3, 3, rounds=1) == {good}
