"""What `make quickstart` runs: the toy world at 32 pixels."""

from recipes.toy.projects import TINY as project

__all__ = ["project"]
