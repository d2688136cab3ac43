"""From map files to results: correlations, amplitudes, sharpened maps and pictures."""
