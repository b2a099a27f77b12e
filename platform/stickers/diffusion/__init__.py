"""Diffusion mathematics as functions on tensors; it knows no model."""
