"""Particles cut out of micrographs, the same ones out of raw and of denoised images."""
