"""What is computed from maps: correlations, amplitudes, resolution, sharpening, models in them."""
