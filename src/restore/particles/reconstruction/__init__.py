"""From particles with known orientations to half maps."""
