"""Particles of a refinement: their angles, their images, and the maps that they give."""
