"""Estimators on maps: correlations, amplitudes, resolution, sharpening, densities of models."""
