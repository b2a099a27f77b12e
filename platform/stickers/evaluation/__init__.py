"""Comparing checkpoints by people and by measures, and the report that shows it."""
