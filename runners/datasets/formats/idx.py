"""The IDX format of MNIST and its successors: a big-endian header, then unsigned bytes, usually gzipped.

Format: http://yann.lecun.com/exdb/mnist (magic 00 00 08 n, then n sizes of four bytes).
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError, one_line

Bytes = npt.NDArray[np.uint8]


def read_idx(path: Path, ndim: int) -> Bytes:
    """The unsigned bytes in an IDX file, gzipped if its name ends in .gz, with shape as its header says.

    Raises DatasetError if the file cannot be read, is no IDX file of `ndim` dimensions, or has more or fewer
    bytes than its header promises.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: cannot be read ({one_line(error)}); fetch it again") from error
    header_bytes = 4 + 4 * ndim
    if len(content) < header_bytes or content[:4] != bytes([0, 0, 8, ndim]):
        raise DatasetError(f"{path}: is not an IDX file of bytes with {ndim} dimensions")
    shape = struct.unpack_from(f">{ndim}I", content, 4)
    if len(content) - header_bytes != math.prod(shape):
        found = len(content) - header_bytes
        raise DatasetError(f"{path}: header promises {math.prod(shape)} bytes, found {found}; fetch it again")
    # A copy, as an array on top of `content` could not be written to.
    return np.frombuffer(content, dtype=np.uint8, offset=header_bytes).reshape(shape).copy()


def write_idx(path: Path, array: Bytes) -> None:
    """Write `array` as a gzipped IDX file, the same bytes on every run (no time stamp)."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes(), compresslevel=9, mtime=0))
