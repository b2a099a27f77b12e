"""The toy world, whole: drawing, words, oracle and panel. Only recipes, the simulation and tests import it."""
