"""Denoising of a micrograph or of a set."""
