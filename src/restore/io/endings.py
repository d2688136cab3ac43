"""The ending of an image's name, which may be of two parts: ``.mrc``, ``.tif``, ``.mrc.gz``."""

MRC_ENDINGS = (".mrc", ".mrcs", ".map")
TIFF_ENDINGS = (".tif", ".tiff")
EER_ENDINGS = (".eer",)
COMPRESSED = (".gz", ".bz2")
"""gzip and bzip2: they may stand after an ending of MRC."""

COMPRESSED_MRC_ENDINGS = tuple(first + second for first in MRC_ENDINGS for second in COMPRESSED)
IMAGE_ENDINGS = (*MRC_ENDINGS, *COMPRESSED_MRC_ENDINGS, *TIFF_ENDINGS)
"""Names of images that are read, in any case of letters."""

MOVIE_ENDINGS = (*IMAGE_ENDINGS, *EER_ENDINGS)
"""Names of movies that are read, in any case of letters."""


def split_ending(name: str) -> tuple[str, str]:
    """A file's name, with its folder or without, in two: what comes before the ending, and the
    ending as it stands.

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
    """The ending of a file's name, in small letters.

    >>> ending_of("job002/mic_DW.MRC.bz2")
    '.mrc.bz2'
    """
    return split_ending(name)[1].lower()


def _split_last(file_name: str) -> tuple[str, str]:
    stem, dot, last = file_name.rpartition(".")
    return (stem, dot + last) if stem.strip(".") and last else (file_name, "")
