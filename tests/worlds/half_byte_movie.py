"""A writer of MRC movies of 4-bit pixels."""

import struct

import mrcfile
import numpy as np


def half_bytes(path, frames, order="<"):
    """IMOD's mode 101: two pixels in a byte, the first in the low half, each row whole bytes."""
    with mrcfile.new(path, frames.astype(f"{order}i2"), overwrite=True) as file:
        file.set_image_stack()
        file.voxel_size = 0.7
    header = bytearray(path.read_bytes()[:1024])
    struct.pack_into(f"{order}i", header, 12, 101)
    padded = np.pad(frames, ((0, 0), (0, 0), (0, frames.shape[2] % 2))).astype("u1")
    path.write_bytes(bytes(header) + (padded[..., 0::2] | padded[..., 1::2] << 4).tobytes())
    return path
