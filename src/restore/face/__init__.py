"""The functions of ``import restore``, for notebooks. They take paths as text, NumPy arrays or
PyTorch tensors, and have defaults for everything else.

They only translate; the work is done in the rooms below.
"""
