"""Micrographs with known truth: specimen, microscope, session."""
