"""The pixel size of a micrograph from its header, its movie and its particle images."""

import pytest

from restore.io.micrograph_pixel_size import micrograph_pixel_size_A


@pytest.mark.parametrize(
    ("header_A", "movie_A", "image_A", "size_A"),
    [
        (1.0008, 0.834, 1.0008, 1.0008),  # binned by 1.2, windows not scaled
        (1.0008, 0.834, 2.0016, 1.0008),  # and scaled down by 2
        (1.0008, 0.834, 1.7, 0.834),
        (1.0008, 0.834, None, 0.834),
        (1.0, 0.834, 1.668, 0.834),
        (1.0, 0.834, 2.0, 0.834),  # the header of a program that does not know the size
        (1.0, 0.834, 1.0, 1.0),
        (0.7, 0.834, 1.4, 0.834),  # finer than the movie
        (1.668, 0.834, None, 1.668),
        (1.251, 0.834, 5.0, 1.251),
        (1.0008, 0.834, 0.834, 0.834),
        (None, 0.834, 1.668, 0.834),
        (1.0, None, 1.34, 1.34),
        (1.1, None, 1.34, 1.1),
        (None, None, 1.34, None),
    ],
)
def test_a_header_is_taken_if_movie_and_images_allow_it(header_A, movie_A, image_A, size_A):
    assert micrograph_pixel_size_A(header_A, movie_A, image_A) == size_A
