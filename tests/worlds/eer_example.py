"""A writer of EER movies, from the published format (Thermo Fisher Scientific, EER file format
documentation 3.0).

BigTIFF, a page for each hardware frame. Its strip is a stream of bits, the lowest of each byte
first: the number of empty pixels before the next electron (7 bits, or 8); all ones mean that so
many are empty and no electron follows. After an electron's number, two bits of its position inside
the pixel along x and two along y, both XOR 10 in binary. The last number leads to the pixel after
the last.
"""

import struct

import numpy as np

COMPRESSIONS = {"8 bits": 65000, "7 bits": 65001, "widths in tags": 65002}


def random_electrons(rng, shape, count):
    """So many electrons, at most one a pixel: rows (y, x, y sub-pixel, x sub-pixel), the sub-pixels
    in quarters.
    """
    places = np.sort(rng.choice(shape[0] * shape[1], count, replace=False))
    return np.column_stack(
        [*np.divmod(places, shape[1]), rng.integers(0, 4, count), rng.integers(0, 4, count)]
    )


def counted(frames, shape, upsampling=1):
    """The image (y, x) of the electrons of some frames."""
    image = np.zeros((shape[0] * upsampling, shape[1] * upsampling), np.float32)
    for y, x, sub_y, sub_x in np.concatenate(frames):
        image[
            y * upsampling + sub_y * upsampling // 4, x * upsampling + sub_x * upsampling // 4
        ] += 1
    return image


def encoded(electrons, shape, skip_bits=7):
    """The bytes of one hardware frame."""
    most = (1 << skip_bits) - 1

    def skip(empty):
        return "1" * (skip_bits * (empty // most)) + f"{empty % most:0{skip_bits}b}"[::-1]

    bits, at = [], 0
    for y, x, sub_y, sub_x in electrons.tolist():
        place = y * shape[1] + x
        bits += [skip(place - at), f"{sub_x ^ 2:02b}"[::-1], f"{sub_y ^ 2:02b}"[::-1]]
        at = place + 1
    text = "".join([*bits, skip(shape[0] * shape[1] - at)])
    return int(text[::-1], 2).to_bytes((len(text) + 7) // 8, "little")


def write_eer(path, frames, shape, compression=65001, strips=1, summed=False):
    """Write hardware frames (of :func:`random_electrons`) as an EER movie; ``summed`` puts their
    plain sum before them.
    """
    content, link = bytearray(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0)), 8
    skip_bits = 8 if compression == 65000 else 7
    pages = [(compression, encoded(frame, shape, skip_bits)) for frame in frames]
    if summed:
        pages.insert(0, (1, counted(frames, shape).astype("u1").tobytes()))
    for compression_, data in pages:
        parts = [
            data[at : at + -(-len(data) // strips)]
            for at in range(0, len(data), -(-len(data) // strips))
        ]
        starts = [len(content) + sum(map(len, parts[:number])) for number in range(len(parts))]
        content += data + b"\0" * (-len(data) % 8)
        tables = len(content)
        content += struct.pack(f"<{2 * len(parts)}Q", *starts, *map(len, parts))
        one = len(parts) == 1
        tags = [
            (256, 4, 1, shape[1]),
            (257, 4, 1, shape[0]),
            (258, 3, 1, 8),
            (259, 3, 1, compression_),
            (262, 3, 1, 1),
            (273, 16, len(parts), starts[0] if one else tables),
            (277, 3, 1, 1),
            (278, 4, 1, -(-shape[0] // len(parts))),
            (279, 16, len(parts), len(data) if one else tables + 8 * len(parts)),
        ]
        if compression_ == 65002:
            tags += [(65007, 3, 1, skip_bits), (65008, 3, 1, 2), (65009, 3, 1, 2)]
        struct.pack_into("<Q", content, link, len(content))
        content += struct.pack("<Q", len(tags)) + b"".join(
            struct.pack("<HHQQ", *tag) for tag in tags
        )
        link = len(content)
        content += bytes(8)
    path.write_bytes(content)
    return path
