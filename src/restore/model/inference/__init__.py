"""Applying a trained network to whole images, in tiles, with the fastest available engine."""
