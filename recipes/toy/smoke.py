"""A few steps of everything, to see that the chain holds."""

from recipes.toy.projects import SMOKE as project

__all__ = ["project"]
