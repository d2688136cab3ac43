"""Simulation of micrographs with known truth: specimen, microscope, session."""
