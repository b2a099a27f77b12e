"""The study of the automatic checks counts both kinds of mistakes."""

import pytest

from experiments.studies.checks import main, show
from stickers.errors import UserError
from stickers.metrics.clip_checks import FLAGS


def test_it_counts_what_is_raised_and_what_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    main(clips=2)
    text = capsys.readouterr().out
    assert "raised against clean clips, of 2 each" in text and "faults missed, of 2 each" in text
    assert all(flag in text for flag in FLAGS)
    with pytest.raises(UserError, match="at least one clip is needed, got 0"):
        main(clips=0)


def test_a_share_stands_with_its_interval(capsys: pytest.CaptureFixture[str]) -> None:
    show("mistakes", {"frozen": 5}, 100)
    text = capsys.readouterr().out
    assert "5.0%" in text and "2.2% to 11.2%" in text
