"""The pixel size of micrographs from their headers, checked by the sizes in a table of particles.

RELION (3.1 and later) leaves ``rlnMicrographPixelSize`` out of its tables of particles. They hold
the pixel size of the movie, from which motion correction may have binned the micrograph, and that
of the particle images, to which extraction may have scaled windows down:
movie ≤ micrograph ≤ particle image.
"""

_AGREE = 0.01  # relative difference up to which two pixel sizes count as one
_UNSET_A = 1.0  # the size in headers of programs that do not know it


def micrograph_pixel_size_A(
    header_A: float | None, movie_A: float | None, image_A: float | None
) -> float | None:
    """The pixel size of a micrograph whose table does not have it; None if it is not known.

    If the movie and the particle images have one pixel size, it is the micrograph's too. Otherwise
    the header's is taken, unless it cannot be right: it must be the movie's binned by 1, 1½, 2, …,
    or by a fraction that the images confirm, which have this size or are scaled down from it by 1,
    1½, 2, …. Without the movie's, a header of exactly 1 Å is not believed if the images are not
    that size scaled by such a number. The movie's, or else the images', is taken in its place.
    """
    if movie_A is not None:
        if image_A is not None and are_one_size(movie_A, image_A):
            return movie_A
        if header_A is None or is_binned(header_A, movie_A):
            return movie_A if header_A is None else header_A
        return header_A if _lies_between(header_A, movie_A, image_A) else movie_A
    if header_A is None or image_A is None:
        return header_A
    if is_binned(header_A, image_A) or is_binned(image_A, header_A):
        return header_A
    return image_A if header_A == _UNSET_A else header_A


def _lies_between(header_A: float, movie_A: float, image_A: float | None) -> bool:
    """Whether a header's pixel size can be that of a movie binned by any fraction, as the size of
    the particle images confirms. Images of 1½ or 2 Å do not confirm a header of exactly 1 Å.
    """
    if image_A is None or header_A < movie_A:
        return False
    if are_one_size(header_A, image_A):
        return True
    return header_A != _UNSET_A and is_binned(image_A, header_A)


def are_one_size(first_A: float, second_A: float) -> bool:
    """Whether two pixel sizes are the same within one per cent."""
    return abs(first_A - second_A) <= _AGREE * second_A


def is_binned(size_A: float, original_A: float) -> bool:
    """Whether a pixel size is another one binned by 1, 1½, 2, …, within one per cent.

    >>> is_binned(1.5, 0.75), is_binned(1.0, 0.834), is_binned(0.75, 1.5)
    (True, False, False)
    """
    if not 0 < original_A < float("inf"):
        return False
    halves = round(2 * size_A / original_A)
    return halves >= 2 and are_one_size(size_A, halves * original_A / 2)
