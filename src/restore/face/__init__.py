"""What ``import restore`` offers: functions for a notebook, which take paths as text, arrays as
NumPy or PyTorch has them, and defaults for everything else.

They only translate; what they call lies in the rooms below.
"""
