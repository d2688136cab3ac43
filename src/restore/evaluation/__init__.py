"""Measurement of how good denoised images are, from independent halves."""
