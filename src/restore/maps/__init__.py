"""Estimators on maps: correlations, amplitudes, resolution, sharpening, and densities of models."""
