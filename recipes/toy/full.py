"""What `make quickstart-full` runs: the toy world at 40 pixels, with more of everything."""

from recipes.toy.projects import FULL as project

__all__ = ["project"]
