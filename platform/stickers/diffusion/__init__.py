"""Diffusion mathematics as functions on tensors, independent of any model."""
