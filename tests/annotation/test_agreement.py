"""Agreement must be what the libraries say it is, and a person's figures must not depend on which jobs they got."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from stickers.annotation.agreement import (
    FEWEST_JOBS,
    RaterAgreement,
    agreement,
    agreement_of,
    count_answers,
    people_facts,
)
from stickers.artifacts.records import Vote

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
# Three people, eight clips: how many said no and yes of each.
THREE = [(0, 3), (1, 2), (3, 0), (2, 1), (3, 0), (0, 3), (2, 1), (3, 0)]
# Of ten clips some were judged by one or two of three people only.
MISSING = [(0, 2), (2, 1), (2, 0), (2, 1), (0, 1), (0, 3), (1, 0), (1, 1), (3, 0), (0, 2)]
# Two people on ten clips (Krippendorff 2011, section A): six zeros and four ones met otherwise in four clips.
KRIPPENDORFF = [(1, 1), (0, 2), (1, 1), (2, 0), (2, 0), (1, 1), (2, 0), (2, 0), (1, 1), (2, 0)]
# The kappa paradox: 118 clips of 125 are "yes" for both people, 7 divide them, none is "no" for both.
PARADOX = [(0, 2)] * 118 + [(1, 1)] * 7
# One clip in thirty is good, three people.
RARE = [(3, 0)] * 90 + [(2, 1)] * 6 + [(1, 2)] * 3 + [(0, 3)]
# The worked example of Fleiss' kappa in textbooks: 14 raters, 10 subjects, 5 categories.
FOURTEEN = [
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
]  # fmt: skip
# Gwet's and Krippendorff's shared example: 4 observers, 12 units, 5 categories, 7 ratings missing.
FOUR_OBSERVERS = [
    (3, 0, 0, 0, 0), (0, 3, 1, 0, 0), (0, 0, 4, 0, 0), (0, 0, 4, 0, 0), (0, 4, 0, 0, 0), (1, 1, 1, 1, 0),
    (0, 0, 0, 4, 0), (3, 1, 0, 0, 0), (0, 4, 0, 0, 0), (0, 0, 0, 0, 3), (2, 0, 0, 0, 0), (0, 0, 1, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "clips", "percent", "alpha", "kappa", "ac1"),
    [
        # irrCAC 0.4.4 (CAC(...).krippendorff(), .fleiss(), .gwet()) on the ratings, one column a person. The alphas
        # but the last are krippendorff 0.9.0's too, the first kappa is statsmodels 0.15.0's fleiss_kappa's.
        (THREE, 8, 0.75, 0.507142857143, 0.485714285714, 0.513513513514),
        (MISSING, 8, 0.708333333333, 0.43, 0.416017797553, 0.41731409545),
        (KRIPPENDORFF, 10, 0.6, 0.095238095238, 0.047619047619, 0.310344827586),
        (PARADOX, 125, 0.944, -0.024691358025, -0.028806584362, 0.940776337609),
        (RARE, 100, 0.94, 0.370526315789, 0.368421052632, 0.933701657459),
        (FOUR_OBSERVERS, 11, 0.818181818182, 0.743421052632, 0.761169275422, 0.775444068127),
    ],
)
def test_figures_are_the_libraries(
    table: list[tuple[int, ...]], clips: int, percent: float, alpha: float, kappa: float, ac1: float
) -> None:
    figures = agreement_of(np.array(table))
    assert figures.clips == clips
    assert [figures.percent, figures.alpha, figures.kappa, figures.ac1] == pytest.approx(
        [percent, alpha, kappa, ac1], abs=1e-11
    )


def test_the_first_table_by_hand() -> None:
    """Pairs of people who agree: 3 of 3 on five clips, 1 of 3 on three, so 6 / 8 = 0.75. Of 24 answers 14 are no and
    10 yes. By chance two answers agree with (14/24)^2 + (10/24)^2 = 296/576, so kappa = (0.75 - 296/576) /
    (280/576) = 136/280. AC1's chance is 2 (14/24) (10/24) = 280/576, so (432 - 280) / (576 - 280) = 152/296. Alpha:
    a disagreement of 1/4 is observed and 2 x 14 x 10 / (24 x 23) = 280/552 expected, so 1 - 138/280."""
    figures = agreement_of(np.array(THREE))
    assert figures.kappa == pytest.approx(136 / 280)
    assert figures.ac1 == pytest.approx(152 / 296)
    assert figures.alpha == pytest.approx(1 - 138 / 280)


def test_the_textbook_kappa() -> None:
    assert agreement_of(np.array(FOURTEEN)).kappa == pytest.approx(0.20993070442195522)  # statsmodels 0.15.0


def test_nothing_is_said_where_nothing_can_be() -> None:
    nothing = RaterAgreement(clips=0, percent=None, alpha=None, kappa=None, ac1=None)
    assert agreement_of(np.zeros((0, 2))) == nothing
    assert agreement_of(np.array([(1, 0), (0, 1), (0, 0)])) == nothing, "one person agrees with nobody"
    assert agreement([], round_number=1) == nothing
    same = agreement_of(np.array([(3, 0), (2, 0)]))
    assert same == RaterAgreement(clips=2, percent=1.0, alpha=None, kappa=None, ac1=1.0)


def test_every_clip_of_the_paper_at_once() -> None:
    rng = np.random.default_rng(0)
    yes = rng.binomial(3, np.where(rng.random(120_000) < 0.02, 0.9, 0.1))
    figures = agreement_of(np.stack([3 - yes, yes], axis=1))
    assert figures.clips == 120_000
    # Each answer is yes with probability q of the clip: people who err alike agree with q^2 + (1 - q)^2 = 0.82.
    assert figures.percent == pytest.approx(0.82, abs=0.003)


def vote(person: str, job: str, shown: str, picks: str, **changes: object) -> Vote:
    """`shown` and `picks` have one letter a clip."""
    plain = Vote(
        job_id=job,
        annotator=person,
        round=1,
        plan_id="plan",
        shown=list(shown),
        shown_digests=[f"d{letter}" for letter in shown],
        picks=list(picks),
        started_at=NOON,
        submitted_at=NOON + timedelta(seconds=10),
        simulated=False,
    )
    return replace(plain, **changes)


def test_votes_are_counted_by_what_was_judged() -> None:
    votes = [
        vote("ana", "j1", "abc", "a"),
        vote("ben", "j1", "cba", "ab"),
        vote("cem", "j1", "abc", "", round=2),
        vote("cem", "j2", "ab", "a", kind="gold"),
        vote("dee", "j1", "abc", "abc", kind="ruling"),
    ]
    assert count_answers(votes, round_number=1).tolist() == [[0, 2], [1, 1], [2, 0]]
    assert count_answers(votes, round_number=2).tolist() == [[1, 0]] * 3
    again = [*votes, vote("ana", "j3", "ac", "c")]
    assert count_answers(again, round_number=1).tolist() == [[0, 2], [1, 1], [1, 1]], (
        "ana is one person, whatever she says"
    )
    redone = [*votes, vote("cem", "j3", "a", "", shown_digests=["another clip"])]
    assert sorted(count_answers(redone, round_number=1).tolist()) == [[0, 2], [1, 0], [1, 1], [2, 0]]


def test_what_a_lead_sees_of_people() -> None:
    votes = [
        vote("ana", "j1", "abcd", "ab"),
        vote("ben", "j1", "abcd", "a", submitted_at=NOON + timedelta(seconds=30)),
        vote("cem", "j1", "abcd", "acd", simulated=True),
        vote("ana", "g", "wxyz", "wx", kind="gold", submitted_at=NOON + timedelta(seconds=40)),
    ]
    facts = people_facts(votes, {}, {"g": {"w", "y"}})
    assert list(facts) == ["ana", "ben", "cem"]
    ana, cem = facts["ana"], facts["cem"]
    assert (ana.answers, ana.median_seconds, ana.pick_rate) == (2, 25, 0.5)
    assert (ana.gold_right, ana.gold_of) == (2, 4), "w is right and so is z, which is not picked"
    # Others of ana: on a both say yes, on b both no, on c and d they differ, which says nothing.
    assert ana.with_majority == 0.5
    assert cem.with_majority == pytest.approx(1 / 3), "a; wrong on c and d; b divides ana and ben"
    assert cem.simulated and not ana.simulated
    assert ana.low_motion_bias is None and (ben := facts["ben"]).gold_of == 0 and ben.pick_rate == 0.25


def test_a_person_alone_and_nobody() -> None:
    assert people_facts([], {}, {}) == {}
    alone = people_facts([vote("ana", "j", "ab", "")], {"a": 1.0, "b": 2.0}, {})["ana"]
    assert (alone.pick_rate, alone.with_majority, alone.low_motion_bias, alone.median_seconds) == (
        0,
        None,
        None,
        10,
    )
    ruling = people_facts([vote("lead", "j", "ab", "a", kind="ruling")], {"a": 1.0, "b": 2.0}, {})["lead"]
    assert (ruling.answers, ruling.pick_rate, ruling.low_motion_bias) == (1, None, None)


def test_low_motion_bias_by_hand() -> None:
    motion = {"a": 1.0, "b": 2.0, "c": 2.0, "d": 9.0, "e": 5.0, "f": 5.0}
    # a 0, b and c (1 + 2) / 2 / 3 = 0.5, d 1: picked a and b: 0.25, the others 0.75.
    first = vote("ana", "j1", "abcd", "ab")
    assert people_facts([first], motion, {})["ana"].low_motion_bias == pytest.approx(0.5)
    # d 1, a 0; "x" has no score: -1; the job of equals and those of which all or none is picked say nothing.
    votes = [
        first,
        vote("ana", "j2", "xda", "dx"),
        vote("ana", "j3", "ef", "e"),
        vote("ana", "j4", "ad", "ad"),
        vote("ana", "j5", "ad", ""),
        vote("ana", "j6", "a", "a"),
    ]
    facts = people_facts(votes, motion, {})["ana"]
    assert facts.low_motion_bias == pytest.approx(-0.25) and facts.low_motion_jobs == 2
    assert facts.low_motion_interval is None, "two jobs tell nothing of how much jobs differ"


def test_the_bias_does_not_depend_on_the_jobs_somebody_got() -> None:
    rng = np.random.default_rng(1)
    motion, votes = {}, []
    for number in range(600):
        fast = (
            number % 2 == 1
        )  # ben gets the fast half of all clips; both like the slower ones of what they see
        names = [f"{number}-{i}" for i in range(6)]
        scores = rng.random(6) + 10 * fast
        motion |= dict(zip(names, scores.tolist(), strict=True))
        slower = np.argsort(np.argsort(scores)) < 3
        picks = [
            name for name, slow in zip(names, slower, strict=True) if rng.random() < (0.5 if slow else 0.3)
        ]
        plain = vote("ben" if fast else "ana", f"j{number}", "", "")
        votes.append(replace(plain, shown=names, shown_digests=names, picks=picks))
    votes += [
        replace(name, annotator="cem", picks=rng.permutation(name.shown)[:2].tolist()) for name in votes
    ]
    facts = people_facts(votes, motion, {})
    for name in ("ana", "ben"):
        low, high = facts[name].low_motion_interval or (0, 0)
        assert 0 < low < (facts[name].low_motion_bias or 0) < high
    low, high = facts["cem"].low_motion_interval or (1, 1)
    assert low < 0 < high, "cem picks at random"
    assert facts["cem"].low_motion_jobs == 600 >= FEWEST_JOBS
    gap = (facts["ana"].low_motion_bias or 0) - (facts["ben"].low_motion_bias or 0)
    assert abs(gap) < 0.12
