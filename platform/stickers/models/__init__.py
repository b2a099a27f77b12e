"""The video diffusion network and what stands beside it: autoencoder, text encoder, their weights."""
