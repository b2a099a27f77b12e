"""A user's mistake is a ValueError, so that libraries which call us show its sentence; nothing else is one."""

from dataclasses import dataclass

import pytest
import tyro
from pydantic import BaseModel, ValidationError, field_validator

from stickers.errors import UserError


class Order(BaseModel):
    seed: int

    @field_validator("seed")
    @classmethod
    def positive(cls, seed: int) -> int:
        if seed < 0:
            raise UserError(f"seed must not be negative, got {seed}")
        return seed


def test_its_sentence_is_its_text() -> None:
    with pytest.raises(ValueError, match="^the row has no prompt$") as caught:
        raise UserError("the row has no prompt")
    assert type(caught.value) is UserError and str(caught.value) == "the row has no prompt"


def test_pydantic_takes_it_as_a_wrong_value() -> None:
    assert Order(seed=3).seed == 3
    with pytest.raises(ValidationError, match="seed must not be negative, got -1"):
        Order(seed=-1)


@dataclass(frozen=True)
class Options:
    size: int = 32

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserError(f"size must be at least 1, got {self.size}")


def test_tyro_takes_it_as_a_wrong_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert tyro.cli(Options, args=["--size", "3"]).size == 3
    with pytest.raises(SystemExit) as exit_status:
        tyro.cli(Options, args=["--size", "0"])
    output = capsys.readouterr()
    assert exit_status.value.code == 2 and "size must be at least 1, got 0" in output.out + output.err
