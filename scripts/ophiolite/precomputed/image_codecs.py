"""The image chunk encodings jpeg, png and jxl.

A chunk `(x, y, z, c)` becomes a picture whose rows, joined, are its voxels in Fortran order with interleaved
channels: width x, height y z; or a whole number of rows per picture row where that is too tall for jpeg.
Specification: Neuroglancer, precomputed volume format, "jpeg / png / jxl chunk encoding".
"""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ophiolite.errors import FormatError, explain
from ophiolite.geometry.box import Vec, prod

_LONGEST_SIDE_PX = 65500
_PNG_END = b"IEND\xaeB`\x82"
_PNG_RLE = 3
_PNG_DEFAULT_STRATEGY = 0
_PNG_AVERAGE_FILTER = 64
_PNG_ALL_FILTERS = 248
# Measured on FIB-SEM, 64^3: lossless effort 1 / 2 / 3 gives ratio 1.53 / 1.57 / 1.60 at 185 / 45 / 21 MVx/s,
# lossy effort 3 / 5 gives 5.3 / 6.7 (and a larger error) at 29 / 5 MVx/s.
_JXL_LOSSLESS_EFFORT = 2
_JXL_LOSSY_EFFORT = 3


def encode_jpeg(chunk: NDArray[np.uint8], quality: int) -> bytes:
    """Encode uint8 with 1 or 3 channels; colour is not subsampled, since rows of the picture cross slices."""
    picture = _picture(chunk, "jpeg")
    if picture.shape[2] == 1:
        return bytes(simplejpeg.encode_jpeg(picture, quality=quality, colorspace="GRAY", colorsubsampling="Gray"))
    return bytes(simplejpeg.encode_jpeg(picture, quality=quality, colorspace="RGB", colorsubsampling="444"))


def decode_jpeg(data: bytes, shape_vx: Vec, channels: int) -> NDArray[np.uint8]:
    """Decode to `(x, y, z, c)`; raises FormatError for damage and for other shapes."""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        found = 1 if space == "Gray" else 3
        _check_picture("jpeg", (height, width, found), shape_vx, channels)
        picture = simplejpeg.decode_jpeg(data, "GRAY" if channels == 1 else "RGB")
    except ValueError as error:
        raise _damaged("jpeg", data, error) from error
    return _volume(picture, shape_vx, channels)


def encode_png(chunk: NDArray[Any], level: int) -> bytes:
    """Encode uint8 or uint16 with 1-4 channels, lossless.

    Level 1 is the average filter with run-length coding: on microscopy 3-4 times faster than the other levels, and
    smaller. The others are zlib's levels with the filter chosen per row.
    """
    picture = _picture(chunk, "png")
    fast = level == 1
    return bytes(
        imagecodecs.png_encode(
            picture[:, :, 0] if picture.shape[2] == 1 else picture,
            level=level,
            strategy=_PNG_RLE if fast else _PNG_DEFAULT_STRATEGY,
            filter=_PNG_AVERAGE_FILTER if fast else _PNG_ALL_FILTERS,
        )
    )


def decode_png(data: bytes, shape_vx: Vec, channels: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Decode to `(x, y, z, c)`; raises FormatError for damage and for other shapes and data types."""
    try:
        # libpng is content when the pixels are complete; a file without its end was cut short all the same.
        if not data.endswith(_PNG_END):
            raise ValueError("its end is missing")
        picture = imagecodecs.png_decode(data)
    except (RuntimeError, ValueError) as error:
        raise _damaged("png", data, error) from error
    _check_picture("png", picture.shape, shape_vx, channels)
    if picture.dtype != dtype:
        raise _other("png", f"{dtype.name} voxels", f"{picture.dtype.name} voxels")
    return _volume(picture, shape_vx, channels)


def encode_jxl(chunk: NDArray[np.uint8], quality: int) -> bytes:
    """Encode uint8 with 1, 3 or 4 channels; lossless at quality 100."""
    picture = _picture(chunk, "jxl")
    if picture.shape[2] == 1:
        picture = picture[:, :, 0]
    if quality >= 100:
        return bytes(imagecodecs.jpegxl_encode(picture, lossless=True, effort=_JXL_LOSSLESS_EFFORT, numthreads=1))
    return bytes(
        imagecodecs.jpegxl_encode(picture, distance=jxl_distance(quality), effort=_JXL_LOSSY_EFFORT, numthreads=1)
    )


def decode_jxl(data: bytes, shape_vx: Vec, channels: int) -> NDArray[np.uint8]:
    """Decode to `(x, y, z, c)`; raises FormatError for damage and for other shapes."""
    try:
        picture = imagecodecs.jpegxl_decode(data, numthreads=1)
    except (RuntimeError, ValueError) as error:
        raise _damaged("jxl", data, error) from error
    _check_picture("jxl", picture.shape, shape_vx, channels)
    if picture.dtype != np.uint8:
        raise _other("jxl", "uint8 voxels", f"{picture.dtype.name} voxels")
    return _volume(picture, shape_vx, channels)


def jxl_distance(quality: int) -> float:
    """The Butteraugli distance that libjxl's encoder means by a jpeg-like quality (`JxlEncoderDistanceFromQuality`)."""
    if quality >= 100:
        return 0.0
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality * quality - 23 / 20 * quality + 25


def _picture(chunk: NDArray[Any], name: str) -> NDArray[Any]:
    """The picture `(height, width, c)` of a chunk; a view of a one-channel Fortran chunk, else one copy."""
    x, y, z, channels = chunk.shape
    rows = y * z
    for per_row in range(1, max(_LONGEST_SIDE_PX // x, 1) + 1):
        if rows % per_row == 0 and rows // per_row <= _LONGEST_SIDE_PX and x * per_row <= _LONGEST_SIDE_PX:
            interleaved = np.ascontiguousarray(chunk.transpose(2, 1, 0, 3))
            return interleaved.reshape(rows // per_row, x * per_row, channels)
    raise FormatError(
        explain(
            f"{name} chunk",
            "it does not fit into one picture",
            expected=f"sides of at most {_LONGEST_SIDE_PX} pixels",
            got=f"{(x, y, z)} voxels",
            do="Use smaller chunks",
        )
    )


def _volume(picture: NDArray[Any], shape_vx: Vec, channels: int) -> NDArray[Any]:
    """The chunk `(x, y, z, c)` of a picture; a view for one channel, else one copy."""
    x, y, z = shape_vx
    return np.asfortranarray(picture.reshape(z, y, x, channels).transpose(2, 1, 0, 3))


def _check_picture(name: str, picture: tuple[int, ...], shape_vx: Vec, channels: int) -> None:
    height, width = picture[:2]
    found = picture[2] if len(picture) > 2 else 1
    if len(picture) > 3 or height * width != prod(shape_vx) or found != channels:
        raise _other(
            name,
            f"{prod(shape_vx)} pixels for {shape_vx} voxels, {channels} channels",
            f"{width} x {height} pixels, {found} channels",
        )


def _other(name: str, expected: str, got: str) -> FormatError:
    return FormatError(
        explain(
            f"{name} chunk",
            "the picture does not fit the chunk",
            expected=expected,
            got=got,
            do="Mend the chunk size, channels and data type in info, or make the file again",
        )
    )


def _damaged(name: str, data: bytes, error: Exception) -> FormatError:
    if isinstance(error, FormatError):
        return error
    return FormatError(
        explain(
            f"{name} chunk",
            f"the picture is damaged ({error})",
            expected=f"a whole {name} file",
            got=f"{len(data)} bytes that begin {bytes(data[:4]).hex(' ') or 'with nothing'}",
            do="Make the file again",
        )
    )
