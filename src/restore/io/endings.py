"""The ending of an image's name, which may have two parts: ``.mrc``, ``.tif``, ``.mrc.gz``."""

MRC_ENDINGS = (".mrc", ".mrcs", ".map")
TIFF_ENDINGS = (".tif", ".tiff")
EER_ENDINGS = (".eer",)
COMPRESSED = (".gz", ".bz2")
"""Endings of gzip and bzip2, which may follow that of an MRC file."""

COMPRESSED_MRC_ENDINGS = tuple(first + second for first in MRC_ENDINGS for second in COMPRESSED)
IMAGE_ENDINGS = (*MRC_ENDINGS, *COMPRESSED_MRC_ENDINGS, *TIFF_ENDINGS)
"""Endings of the images that can be read, in upper or lower case."""

MOVIE_ENDINGS = (*IMAGE_ENDINGS, *EER_ENDINGS)
"""Endings of the movies that can be read, in upper or lower case."""


def split_ending(name: str) -> tuple[str, str]:
    """A file's name, with or without its folder, in two parts: what comes before the ending, and
    the ending itself.

    >>> names = ("raw/a b_DW.mrc.gz", "µ.v2_DW.TIF", "a.b/c", ".mrc", "notes.gz")
    >>> [split_ending(name) for name in names]
    [('raw/a b_DW', '.mrc.gz'), ('µ.v2_DW', '.TIF'), ('a.b/c', ''), ('.mrc', ''), ('notes', '.gz')]
    """
    folder, slash, file_name = name.rpartition("/")
    stem, last = _split_last(file_name)
    if last.lower() in COMPRESSED:
        inner, first = _split_last(stem)
        if first.lower() in MRC_ENDINGS:
            stem, last = inner, first + last
    return folder + slash + stem, last


def ending_of(name: str) -> str:
    """The ending of a file's name, in lower case.

    >>> ending_of("job002/mic_DW.MRC.bz2")
    '.mrc.bz2'
    """
    return split_ending(name)[1].lower()


def _split_last(file_name: str) -> tuple[str, str]:
    stem, dot, last = file_name.rpartition(".")
    return (stem, dot + last) if stem.strip(".") and last else (file_name, "")
