"""Reconstruction of half maps from particles with known orientations."""
