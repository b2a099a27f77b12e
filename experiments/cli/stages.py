"""Stage n of m: what a command is doing, and for how long it has been at work."""

import os
import time

from rich.markup import escape

from actors.screen import console, duration, screen

#: set by a command that has numbered stages, for those it starts: their own are parts of its stages
NUMBERED = "STICKERS_STAGES_NUMBERED"


class Stages:
    """The stages of a command, told one after the other.

    Args:
        names: each stage in a few words, in order.
    """

    def __init__(self, *names: str) -> None:
        self.names = names
        self.number = 0
        self.began = time.monotonic()
        self.word = "part" if os.environ.get(NUMBERED) else "stage"

    def begin(self, name: str, explanation: str = "") -> None:
        """Say that a stage begins, and the time that those before it have taken.

        Args:
            name: of the stage; those between it and the last one have nothing to do.
            explanation: what it does, where the name does not say it.
        """
        screen.tell_log()
        self.number = self.names.index(name) + 1
        spent = time.monotonic() - self.began
        so_far = f" ({duration(spent)} so far)" if self.number > 1 else ""
        words = f"{escape(name)}[/]{f': {escape(explanation)}' if explanation else ''}{so_far}"
        console.print(
            f"[bold]{self.word} {self.number} of {len(self.names)}: {words}", highlight=False, soft_wrap=True
        )
