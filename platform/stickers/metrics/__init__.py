"""Measures of decoded pixels; none needs trained weights."""
