"""From pairs of halves to a trained network."""
