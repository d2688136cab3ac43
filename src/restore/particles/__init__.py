"""Refined particles: their orientations, their images, and the maps reconstructed from them."""
