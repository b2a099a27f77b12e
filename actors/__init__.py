"""Thin Ray shells round library objects."""
