"""Extraction of particles from micrographs, with the same windows for raw and denoised ones."""
