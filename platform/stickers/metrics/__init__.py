"""Measures read off decoded pixels; none needs trained weights."""
