"""Images, STAR files and micrograph sets: what is read and written.

The doors are :mod:`restore.io.images.image` (one image of any format),
:mod:`restore.io.images.movies` (one movie, frame by frame), :mod:`restore.io.star` (one STAR file)
and :mod:`restore.io.micrographs` (a set of micrographs).
"""
