"""Choosing which videos a teacher learns from."""
