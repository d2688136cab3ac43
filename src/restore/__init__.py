"""Denoise cryo-EM micrographs with a network trained on their own halves."""
