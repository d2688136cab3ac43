"""Reading and writing of images, STAR files and sets of micrographs.

The entry points are :mod:`restore.io.images.image` (one image of any format),
:mod:`restore.io.images.movies` (one movie, frame by frame), :mod:`restore.io.star` (one STAR file)
and :mod:`restore.io.micrographs` (a set of micrographs).
"""
