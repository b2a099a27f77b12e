"""The arithmetic of a large plan, by hand on small numbers."""

import pytest

from experiments.benchmarks.costs import ROW_BYTES, Strips, cost, main, measure_strips, volume


def test_a_plan_costs_its_candidates_once_and_what_is_lost_again() -> None:
    strips = Strips(drawn_bytes=400.0, decoded_bytes=1400.0, encode_s=0.1)
    plan_cost = cost(prompts=9, pictures=2, teachers=4, gpu_s=50.0, waste=0.5, strips=strips)
    assert plan_cost.candidates == 72 and plan_cost.gpu_hours == pytest.approx(1.5)
    assert plan_cost.drawn_bytes == 72 * (400 + ROW_BYTES) and plan_cost.decoded_bytes == 72 * (
        1400 + ROW_BYTES
    )
    assert [volume(count) for count in (5e6, 2.5e9, 7e13, 1e15)] == ["5.0 MB", "2.5 GB", "70.0 TB", "1.0 PB"]


def test_what_a_decoder_leaves_takes_more_than_what_was_drawn() -> None:
    small, large = measure_strips(64, 1, seed=1), measure_strips(128, 1, seed=1)
    assert small.drawn_bytes < small.decoded_bytes < large.decoded_bytes and small.encode_s > 0


def test_impossible_assumptions_are_refused() -> None:
    with pytest.raises(ValueError, match="there is no size 'xl'; sizes: lg"):
        main(size="xl")
    with pytest.raises(ValueError, match="utilisation lies in"):
        main(utilisation=1.5)
