"""The estimators of an evaluation, from tensors to numbers with intervals, without files or
pictures.
"""
