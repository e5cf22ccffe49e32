"""The denoising loop as it is published: torch, transformers and flat siblings only."""
