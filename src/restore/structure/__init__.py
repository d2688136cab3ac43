"""Comparison of raw and denoised images of the same particles by the structures obtained
from them.
"""
