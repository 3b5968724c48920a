"""The label chunk encodings compresso and crackle, one channel each.

Their decoders trust what they read, so everything the streams say about themselves is compared first.
Formats: Matejek et al. 2017, Compresso (MICCAI), in the byte layout of the `compresso` package; the
`crackle-codec` package's format.
"""

from __future__ import annotations

from typing import Any, NoReturn

import compresso
import crackle
import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry.box import Vec, prod

_COMPRESSO_HEADER_BYTES = 36


def encode_compresso(chunk: NDArray[Any]) -> bytes:
    """Encode unsigned labels `(x, y, z, 1)`."""
    return bytes(compresso.compress(np.require(chunk[..., 0], requirements=["F", "W"])))


def decode_compresso(data: bytes, shape_vx: Vec, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Decode to `(x, y, z, 1)`; raises FormatError for damage that shows, and for other shapes and data types."""
    data = bytes(data)
    _check_compresso(data, shape_vx, dtype)
    try:
        labels = compresso.decompress(data)
    except (RuntimeError, ValueError, IndexError, compresso.DecodeError) as error:
        _fail("compresso", "a whole stream", f"{len(data)} bytes ({error})")
    return np.asfortranarray(labels)[..., np.newaxis]


def encode_crackle(chunk: NDArray[Any]) -> bytes:
    """Encode unsigned labels `(x, y, z, 1)`."""
    return bytes(crackle.compress(np.asfortranarray(chunk[..., 0]), parallel=1))


def decode_crackle(data: bytes, shape_vx: Vec, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Decode to `(x, y, z, 1)`; raises FormatError for damage that shows, and for other shapes and data types."""
    data = bytes(data)
    try:
        header = crackle.header(data)
        _same("crackle", (header.sx, header.sy, header.sz), header.data_width, shape_vx, dtype)
        index = crackle.codec.grid_index(data)
        if len(index) and int(index[-1]) > len(data):
            _fail("crackle", f"at least {int(index[-1])} bytes", f"{len(data)} bytes")
        stored = crackle.codec.labels_crc(data)
        if stored is not None and stored != crackle.lib.crc32c(crackle.codec.raw_labels(data)):
            _fail("crackle", "labels that match their CRC-32C", "others")
        labels = crackle.decompress(data, parallel=1)
    except (RuntimeError, ValueError, IndexError, crackle.FormatError) as error:
        _fail("crackle", "a whole stream", f"{len(data)} bytes ({error})")
    return np.asfortranarray(labels.astype(dtype, copy=False))[..., np.newaxis]


def _check_compresso(data: bytes, shape_vx: Vec, dtype: np.dtype[Any]) -> None:
    """Raise FormatError unless the stream's header, section lengths and window runs fit the chunk."""
    if len(data) < _COMPRESSO_HEADER_BYTES or data[:4] != b"cpso" or data[4] > 1:
        _fail("compresso", "'cpso' and version 0 or 1", f"{len(data)} bytes that begin {data[:5].hex(' ')}")
    width = data[5]
    shape = tuple(int.from_bytes(data[i : i + 2], "little") for i in (6, 8, 10))
    step = tuple(data[12:15])
    ids, values, locations = (int.from_bytes(data[a:b], "little") for a, b in ((15, 23), (23, 27), (27, 35)))
    _same("compresso", shape, width, shape_vx, dtype)
    if 0 in step or prod((step[0], step[1], step[2])) > 64 or data[35] not in (4, 6):
        _fail("compresso", "steps of 1 to 64 voxels and connectivity 4 or 6", f"{step} and {data[35]}")
    window = next(size for size in (1, 2, 4, 8) if prod((step[0], step[1], step[2])) <= 8 * size)
    start = _COMPRESSO_HEADER_BYTES + ids * width + values * window + locations * width
    index_bytes = 2 * compresso.zindex_byte_width(shape[0], shape[1]) * shape[2] if data[4] == 1 else 0
    stop = len(data) - index_bytes
    if start > stop or (stop - start) % window:
        _fail("compresso", f"at least {start + index_bytes} bytes", f"{len(data)} bytes")
    windows = np.frombuffer(data, f"<u{window}", (stop - start) // window, start)
    runs = windows & 1 == 1
    blocks = int((windows[runs] >> 1).sum(dtype=np.uint64)) + int(np.count_nonzero(~runs))
    expected = prod((-(-shape[0] // step[0]), -(-shape[1] // step[1]), -(-shape[2] // step[2])))
    if blocks != expected:
        _fail("compresso", f"{expected} windows", f"{blocks}")
    if (windows[~runs] >> 1 >= values).any():
        _fail("compresso", f"windows among {values} values", f"value {int((windows[~runs] >> 1).max())}")


def _same(name: str, shape: tuple[int, ...], width: int, shape_vx: Vec, dtype: np.dtype[Any]) -> None:
    if tuple(shape) != shape_vx or width != dtype.itemsize:
        _fail(name, f"{shape_vx} voxels of {dtype.name}", f"{tuple(shape)} voxels of {width} bytes")


def _fail(name: str, expected: str, got: str) -> NoReturn:
    raise FormatError(
        explain(
            f"{name} chunk",
            "the bytes are damaged, or encoded for another shape",
            expected=expected,
            got=got,
            do="Make the file again, or mend the chunk size and data type in info",
        )
    )
