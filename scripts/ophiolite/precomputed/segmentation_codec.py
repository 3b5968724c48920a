"""The `compressed_segmentation` chunk encoding, several channels and damaged bytes included.

Specification: Neuroglancer, "Compressed segmentation format". The library does one channel and trusts
its input, so channels are joined here and every offset is checked before the library follows it.
"""

from __future__ import annotations

from typing import Any

import compressed_segmentation
import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry.box import Vec, ceildiv, prod

WHERE = "compressed_segmentation chunk"
_BITS = np.array([0, 1, 2, 4, 8, 16])


def encode(chunk: NDArray[Any], block_vx: Vec) -> bytes:
    """Encode a chunk `(x, y, z, c)` of uint32 or uint64.

    Raises FormatError where the label tables outgrow the format's 24-bit offsets.
    """
    channels = chunk.shape[3]
    parts: list[bytes] = []
    for c in range(channels):
        # The library wants a writable buffer although it only reads.
        channel = np.require(chunk[..., c], requirements=["F", "W"])
        try:
            part: bytes = compressed_segmentation.compress(channel, block_size=block_vx, order="F")
        except OverflowError as error:
            raise FormatError(
                explain(
                    WHERE,
                    f"{chunk.shape[:3]} voxels hold too many labels for the format",
                    expected="label tables within 64 MiB of the chunk's start",
                    do="Use smaller chunks, or encoding raw",
                )
            ) from error
        parts.append(part)
    if channels == 1:
        return parts[0]
    # Each part is [1][channel data]; the joined file has one offset per channel, in 32-bit words.
    sizes = [len(part) // 4 - 1 for part in parts]
    offsets = np.cumsum([channels, *sizes[:-1]], dtype="<u4")
    return offsets.tobytes() + b"".join(part[4:] for part in parts)


def decode(data: bytes, shape_vx: Vec, channels: int, dtype: np.dtype[Any], block_vx: Vec) -> NDArray[Any]:
    """Decode to `(x, y, z, c)` in Fortran order; raises FormatError for bytes that cannot be right."""
    if len(data) % 4:
        raise _damaged("a length divisible by 4", f"{len(data)} bytes")
    words = np.frombuffer(data, "<u4")
    if len(words) < channels:
        raise _damaged(f"an offset for each of {channels} channels", f"{len(data)} bytes")
    for c in range(channels):
        _check_channel(words, int(words[c]), shape_vx, dtype.itemsize // 4, block_vx)
    return compressed_segmentation.decompress(  # type: ignore[no-any-return]
        bytes(data), (*shape_vx, channels), dtype, block_vx, order="F"
    )


def _check_channel(words: NDArray[np.uint32], base: int, shape_vx: Vec, entry_words: int, block_vx: Vec) -> None:
    """Raise FormatError unless every table entry and value that the channel at word `base` names exists."""
    grid = ceildiv(shape_vx, block_vx)
    blocks = prod(grid)
    room = len(words) - base
    if room < 2 * blocks:
        raise _damaged(f"{blocks} block headers from word {base} on", f"{len(words)} words")
    headers = words[base : base + 2 * blocks].reshape(blocks, 2).astype(np.int64)
    table = headers[:, 0] & 0xFFFFFF
    bits = headers[:, 0] >> 24
    values = headers[:, 1]
    wrong = ~np.isin(bits, _BITS)
    if wrong.any():
        raise _damaged("0, 1, 2, 4, 8 or 16 bits per voxel", f"{bits[wrong][0]} in block {np.flatnonzero(wrong)[0]}")
    stop = np.where(bits > 0, values + (bits * prod(block_vx) + 31) // 32, 0)
    if int(stop.max()) > room:
        raise _damaged(f"{room} words", f"block {int(stop.argmax())} that ends at word {int(stop.max())}")
    # A table's length is written nowhere; where the largest index would leave the file, find the largest used.
    for block in np.flatnonzero(table + (entry_words << bits) > room):
        index = _largest_index(words[base:], int(values[block]), int(bits[block]), int(block), grid, shape_vx, block_vx)
        last = int(table[block]) + (index + 1) * entry_words
        if last > room:
            raise _damaged(f"{room} words", f"block {block} whose label table reaches word {last}")


def _largest_index(
    words: NDArray[np.uint32], start: int, bits: int, block: int, grid: Vec, shape_vx: Vec, block_vx: Vec
) -> int:
    """The largest table index that the voxels of a block use (those outside the chunk do not count)."""
    if bits == 0:
        return 0
    count = prod(block_vx)
    packed = words[start : start + (bits * count + 31) // 32]
    unpacked = (packed[:, None] >> np.arange(0, 32, bits, dtype=np.uint32)) & np.uint32((1 << bits) - 1)
    cube = unpacked.reshape(-1)[:count].reshape(block_vx, order="F")
    at = (block % grid[0], block // grid[0] % grid[1], block // (grid[0] * grid[1]))
    inside = tuple(slice(0, n - i * b) for n, i, b in zip(shape_vx, at, block_vx, strict=True))
    return int(cube[inside].max())


def _damaged(expected: str, got: str) -> FormatError:
    return FormatError(
        explain(
            WHERE,
            "the bytes are damaged, or encoded for another shape",
            expected=expected,
            got=got,
            do="Make the file again, or mend the chunk size, data type and block size in info",
        )
    )
