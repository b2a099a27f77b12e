"""Settings that cannot work are refused by name, and the rest survive JSON."""

from dataclasses import asdict

import pytest

from stickers.annotation.settings import Settings, settings_of
from stickers.errors import UserError

ONE_ROUND = [{"role": "annotator", "people": 1, "quorum": 1}]


def test_settings_survive_json() -> None:
    settings = Settings().changed({"rounds": ONE_ROUND, "gold_rate": 0.1, "ordering": "model"})
    assert settings_of(asdict(settings)) == settings
    assert settings.rounds_of("annotator") == [1] and settings.rounds_of("expert") == []
    assert Settings().rounds_of("expert") == [2]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"speed": 1}, "no setting 'speed'; settings: audit_share, clips_per_job"),
        ({"gold_rate": 2}, "gold_rate must be from 0 to 0.5"),
        ({"rounds": ONE_ROUND * 6}, "there are 1 to 5 rounds, got 6"),
        (
            {"rounds": [{"role": "annotator", "people": 2, "quorum": 3}]},
            "round 1: quorum must be from 1 to 2, got 3",
        ),
        (
            {"rounds": [{"role": "lead", "people": 1, "quorum": 1}]},
            "round 1: role must be one of annotator, expert",
        ),
        ({"rounds": [{"people": 1}]}, "settings cannot be read"),
        ({"clips_per_job": True}, "clips_per_job must be from 1 to 36"),
        ({"policy": "random"}, "policy must be one of mixed, stratified, got 'random'"),
    ],
)
def test_what_cannot_work_is_named(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Settings().changed(values)
