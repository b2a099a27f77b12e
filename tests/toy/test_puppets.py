"""The general domain's jointed things: they move as living beings do, and look like no sticker."""

from dataclasses import replace

import numpy as np
import pytest

from stickers.toy.motions import Mode
from stickers.toy.puppets import BANDS, PUPPET_MOTIONS, PUPPETS, Puppet, render_puppet

SIZE = 48
MODE = Mode(amplitude=1.0, hz=0.5)
PUPPET = replace(Puppet.draw(np.random.default_rng(0), matte=True), offset=(0.0, 0.0))


def at_rest(puppet: Puppet) -> np.ndarray:
    return render_puppet(puppet, "wave", MODE, np.zeros(1), SIZE)[0]


@pytest.mark.parametrize("motion", PUPPET_MOTIONS)
def test_every_motion_starts_at_one_pose_and_comes_back(motion: str) -> None:
    start, later, again = render_puppet(PUPPET, motion, MODE, np.array([0.0, 0.6, 2.0]), SIZE).astype(int)
    assert start.shape == (SIZE, SIZE, 4) and (start == at_rest(PUPPET)).all()
    assert np.abs(later - start).mean() > 1 and np.abs(again - start).max() <= 2


@pytest.mark.parametrize("motion", ["wave", "kick", "stomp", "sway"])
def test_the_other_direction_is_the_mirror_image(motion: str) -> None:
    seconds = np.array([0.7])
    one = render_puppet(PUPPET, motion, MODE, seconds, SIZE)[0].astype(int)
    other = render_puppet(PUPPET, motion, replace(MODE, direction=-1), seconds, SIZE)[0].astype(int)
    # the arms overlap the body in one order, and some of the lag has no side
    assert np.abs(one[:, ::-1] - other).mean() < 0.5 * np.abs(one - other).mean()


def test_kinds_and_bands_are_told_apart() -> None:
    pictures = {
        at_rest(replace(PUPPET, kind=kind, bands=bands)).tobytes() for kind in PUPPETS for bands in BANDS
    }
    assert len(pictures) == len(PUPPETS) * len(BANDS)


def test_puppets_have_no_white_outline_and_their_own_colours() -> None:
    puppet = replace(PUPPET, bands="plain", colours=((200, 30, 30), (30, 200, 30), (30, 30, 200)))
    picture = at_rest(puppet)
    solid = picture[picture[..., 3] == 255][:, :3]
    assert not (solid > 210).any(), "nothing is white"
    assert {tuple(colour) for colour in solid} >= set(puppet.colours)


def test_an_offset_shifts_the_whole() -> None:
    alpha = [at_rest(replace(PUPPET, offset=(x, 0.0)))[..., 3].astype(float) for x in (0.0, 0.08)]
    columns = np.arange(SIZE)
    first, second = ((layer.sum(axis=0) * columns).sum() / layer.sum() for layer in alpha)
    assert second - first == pytest.approx(0.08 * 0.95 * SIZE, abs=0.2)


def test_a_backdrop_fills_the_frame() -> None:
    puppet = Puppet.draw(np.random.default_rng(1), matte=False)
    frames = render_puppet(puppet, "run", MODE, np.array([0.0, 1.0]), SIZE)
    assert (frames[..., 3] == 255).all() and not np.array_equal(frames[0, 0], frames[1, 0]), "it pans"
    assert not at_rest(PUPPET)[0, 0, 3]


def test_individuals_vary_and_follow_their_seed() -> None:
    rng = np.random.default_rng(0)
    puppets = [Puppet.draw(rng, matte=True) for _ in range(100)]
    assert {puppet.kind for puppet in puppets} == {*PUPPETS} and {puppet.bands for puppet in puppets} == {
        *BANDS
    }
    assert len({puppet.head for puppet in puppets}) == 100
    assert all(-0.08 <= puppet.offset[0] <= 0.08 and -0.05 <= puppet.offset[1] <= 0.04 for puppet in puppets)
    assert Puppet.draw(np.random.default_rng(2), matte=True) == Puppet.draw(
        np.random.default_rng(2), matte=True
    )
