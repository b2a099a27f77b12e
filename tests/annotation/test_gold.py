"""Gold is made of what everybody agrees on, measures each person once, and keeps nothing."""

import pytest

from stickers.annotation.gold import agreed, balanced, plant_gold
from stickers.annotation.jobs import GOLD
from stickers.annotation.rounds import (
    advance,
    change_settings,
    read_settings,
)
from stickers.annotation.store.votes import VoteStore
from tests.support.choosing import GOOD, do, kept, work
from tests.support.clips import BY_ID, ROWS


def test_gold_is_made_of_what_everybody_agrees_on(store: VoteStore) -> None:
    for name in ("ann", "bob", "cid"):
        work(store, name)
    do(store, lambda connection: advance(connection, BY_ID))
    work(store, "eve")
    answers = agreed(store.all(), do(store, read_settings))
    assert {name for name, share in answers.items() if share} == GOOD and len(answers) == len(ROWS)
    gold = balanced(answers, 8)
    assert len(gold) == 8 and sum(gold.values()) == 4
    assert do(store, lambda connection: plant_gold(connection, "plan", gold, BY_ID, "lea")) == 2
    assert do(store, lambda connection: plant_gold(connection, "plan", gold, BY_ID, "lea")) == 0
    with pytest.raises(ValueError, match="is not one of plan"):
        do(store, lambda connection: plant_gold(connection, "plan", {"zz": True}, BY_ID, "lea"))
    do(store, lambda connection: change_settings(connection, {"gold_rate": 0.5}, "lea"))
    for _ in range(100):
        work(store, "dan")
    votes = [vote for vote in store.all() if vote.kind == GOLD]
    assert len(votes) == 2 and {vote.annotator for vote in votes} == {"dan"} and kept(store) == GOOD
