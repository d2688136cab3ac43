"""Estimators of an evaluation: tensors in, numbers with intervals out; no files, no pictures."""
