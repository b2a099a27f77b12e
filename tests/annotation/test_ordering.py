"""Likely keepers come first, and the audit says what stopping early would miss."""

from dataclasses import replace

import numpy as np

from stickers.annotation import ordering, rounds
from stickers.annotation.rounds import (
    change_settings,
    open_plan,
)
from stickers.annotation.store.votes import VoteStore
from tests.support.choosing import do, work
from tests.support.clips import candidate


def test_likely_keepers_come_first_and_the_audit_says_what_is_left(url: str) -> None:
    dice = np.random.default_rng(0)
    rows = []
    for number in range(60):
        for seed in range(6):
            motion = float(dice.uniform(0, 20))
            measures = dict.fromkeys(("moving", "reversal", "pulse", "border", "saturated", "visible"), 0.5)
            rows.append(replace(candidate(f"prompt {number:02d}", 0, "t", seed, motion), **measures))
    by_id = {row.candidate_id: row for row in rows}
    good = {row.candidate_id for row in rows if (row.motion_score or 0) > 14}
    one = {"rounds": [{"role": "annotator", "people": 1, "quorum": 1}], "ordering": "model"}
    with VoteStore(url) as store:
        do(store, lambda connection: open_plan(connection, "plan", "/plan", rows, by="lea"))
        do(store, lambda connection: change_settings(connection, one, "lea"))
        work(store, "ann", good, most=20)
        assert "a model needs 200" in do(store, lambda c: ordering.arrange(c, by_id, "lea"))
        work(store, "ann", good, most=20)
        report = do(store, lambda connection: ordering.arrange(connection, by_id, "lea"))
        assert "20 jobs by a model of 240 decided clips" in report
        lasting = [len(good & set(vote.shown)) for vote in store.all() if work and vote.revision == 0]
        before = {vote.job_id for vote in store.all()}
        work(store, "bob", good)
        order = sorted((v for v in store.all() if v.job_id not in before), key=lambda v: v.submitted_at)
        counts = [len(good & set(vote.shown)) for vote in order]
        assert len(counts) == 20 and sum(lasting) + sum(counts) == len(good)
        assert sum(counts[:10]) > sum(counts[10:]), "likely keepers first"
        figures = store.read(lambda c: ordering.help_of(c, store.all(), rounds.read_settings(c)))
        assert (
            figures
            and figures["auc"] > 0.9
            and figures["audit"]["judged"] == 2
            and figures["audit"]["missed_share"] == 0
        )
        do(store, lambda connection: change_settings(connection, {"ordering": "queue"}, "lea"))
        assert "in which they joined" in do(store, lambda c: ordering.arrange(c, by_id, "lea"))
