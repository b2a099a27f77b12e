"""A preference pair must be one that people stand behind: kept over rejected, of the same picture and prompt."""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from stickers import storage
from stickers.annotation.preferences import preferences
from stickers.annotation.settings import RoundSettings, Settings
from stickers.artifacts.ids import clip_digest
from stickers.artifacts.records import PREFERENCES, Candidate, Preference, Vote
from stickers.artifacts.schema import table_of
from tests.support.candidates import make_candidate

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = Settings()


def candidate(name: str, sticker: str = "s", prompt: str = "a cat", strip: bytes | None = None) -> Candidate:
    values = {"sticker_id": sticker, "prompt": prompt, "clip": None}
    return make_candidate(strip or name.encode(), candidate_id=name, **values)


def votes_of(rows: list[Candidate], answers: dict[str, str]) -> list[Vote]:
    """`said` has by candidate the annotators' answers and the expert's: y or n each, "-" for one who did not see it."""
    votes = []
    for index, person in enumerate(("ana", "ben", "cem", "expert")):
        judged = [
            row
            for row in rows
            if len(answers[row.candidate_id]) > index and answers[row.candidate_id][index] != "-"
        ]
        votes.append(
            Vote(
                job_id=f"j{index // 3}",
                annotator=person,
                round=1 + index // 3,
                plan_id="plan",
                shown=[row.candidate_id for row in judged],
                shown_digests=[str(row.clip_digest) for row in judged],
                picks=[row.candidate_id for row in judged if answers[row.candidate_id][index] == "y"],
                started_at=NOON,
                submitted_at=NOON,
                simulated=False,
            )
        )
    return votes


def pairs(rows: list[Candidate], votes: list[Vote]) -> list[tuple[str, str]]:
    return [(pair.chosen, pair.rejected) for pair in preferences(rows, votes, SETTINGS)]


def test_kept_over_rejected_and_nothing_else() -> None:
    answers = {
        "kept": "yyny",
        "also kept": "yyyy",
        "by people": "nyn",
        "by the expert": "yynn",
        "two of three voted": "nn-",
        "waits for the expert": "yyn",
        "other picture": "nnn",
        "other prompt": "nnn",
    }
    rows = [candidate(name) for name in list(answers)[:-2]]
    rows += [candidate("other picture", sticker="s2"), candidate("other prompt", prompt="a dog")]
    unjudged, failed = candidate("unjudged"), replace(candidate("failed"), clip_digest=None, status="failed")
    votes = votes_of(rows, answers)
    assert pairs([*rows, unjudged, failed], votes) == [
        ("also kept", "by people"),
        ("also kept", "by the expert"),
        ("kept", "by people"),
        ("kept", "by the expert"),
    ]
    pair = preferences(rows, votes, SETTINGS)[3]
    counts = pair.chosen_for, pair.chosen_against, pair.rejected_for, pair.rejected_against
    assert counts == (3, 1, 2, 2) and not pair.simulated
    assert (pair.prompt, pair.sticker_id, pair.bucket, pair.plan_id) == ("a cat", "s", "action", "plan")
    assert pair.rejected_digest == clip_digest(b"by the expert")


def test_clips_are_what_was_judged() -> None:
    rows = [candidate("kept"), candidate("rejected"), candidate("twin", strip=b"kept")]
    votes = votes_of(rows, {"kept": "yyyy", "rejected": "nnn", "twin": "nnn"})
    assert pairs(rows, votes) == [("kept", "rejected")], "the twin is the very same clip"
    redone = replace(rows[1], clip_digest="another clip")
    assert pairs([rows[0], redone], votes) == []
    assert preferences([], votes, SETTINGS) == [] and preferences(rows, [], SETTINGS) == []


def test_flags_alone_reject_nothing() -> None:
    rows = [candidate("kept"), replace(candidate("flagged"), frozen=True), candidate("broken")]
    votes = votes_of(rows, {"kept": "yyyy", "flagged": "yyn", "broken": "nnn"})
    unsafe = replace(votes[2], flagged=["flagged", "broken"], flags=["unsafe", "broken"])
    waiting = [*votes[:2], unsafe, votes[3]]
    assert pairs(rows, waiting) == [("kept", "broken")], (
        "two of three picked the flagged one; it waits for a lead"
    )
    shown = {"shown": ["flagged"], "shown_digests": [clip_digest(b"flagged")]}
    ruling = replace(votes[0], job_id="r", annotator="lead", kind="ruling", picks=[], **shown)
    assert pairs(rows, [*waiting, ruling]) == [("kept", "broken"), ("kept", "flagged")]
    against = preferences(rows, [*waiting, ruling], SETTINGS)[1]
    assert (against.rejected_for, against.rejected_against) == (2, 2), "a lead's word is one of the votes"


def test_a_lead_may_keep_what_people_rejected() -> None:
    rows = [candidate("one"), candidate("two")]
    votes = votes_of(rows, {"one": "nny", "two": "nnn"})
    one_round = Settings(rounds=(RoundSettings(role="annotator", people=3, quorum=2),))
    assert preferences(rows, votes, one_round) == []
    shown = {"shown": ["one"], "shown_digests": [clip_digest(b"one")]}
    ruling = replace(votes[0], job_id="r", annotator="lead", kind="ruling", picks=["one"], **shown)
    (pair,) = preferences(rows, [*votes, ruling], one_round)
    assert (pair.chosen, pair.chosen_for, pair.chosen_against) == ("one", 2, 2)
    gold = replace(votes[2], job_id="g", annotator="dee", kind="gold")
    assert preferences(rows, [*votes, ruling, gold], one_round) == [pair], "gold jobs measure people"


def test_simulated_votes_mark_their_pairs(tmp_path: Path) -> None:
    rows = [candidate("kept"), candidate("rejected")]
    votes = votes_of(rows, {"kept": "yyyy", "rejected": "nnn"})
    (pair,) = preferences(rows, [*votes[:3], replace(votes[3], simulated=True)], SETTINGS)
    assert pair.simulated
    path = str(tmp_path / "preferences.parquet")
    storage.write_table(path, table_of([pair], Preference), PREFERENCES)
    assert storage.read_table(path, PREFERENCES).to_pylist() == [asdict(pair)]
