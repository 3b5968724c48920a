"""Chunk encodings: every kind of voxel goes there and back, every misfit and damage is an error of ours."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ophiolite.errors import FormatError
from ophiolite.geometry.box import Vec
from ophiolite.precomputed.encoding import (
    DATA_TYPES,
    ENCODINGS,
    READERS,
    ChunkEncoding,
    check_encoding,
    decode_chunk,
    encode_chunk,
    unreadable_by,
)
from ophiolite.precomputed.image_codecs import jxl_distance

KINDS = [
    (name, dtype, channels)
    for name, holds in ENCODINGS.items()
    for dtype, allowed in holds.items()
    for channels in (allowed or (1, 2, 5))
]
LOSSLESS = [kind for kind in KINDS if kind[0] != "jpeg"]
SHAPES = st.tuples(st.integers(1, 19), st.integers(1, 17), st.integers(1, 13))


def lossless(name: str) -> ChunkEncoding:
    return ChunkEncoding(name, 100 if name == "jxl" else None)


def voxels(shape: tuple[int, ...], dtype: str, seed: int) -> NDArray[Any]:
    """Blocky values over the whole range of the type, so that label codecs meet boundaries and large labels."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(
        0, 256, (*(-(-n // 3) for n in shape[:3]), shape[3], np.dtype(dtype).itemsize), dtype=np.uint8
    )
    values = coarse.view(dtype)[..., 0]
    if dtype == "float32":
        values = rng.normal(size=values.shape).astype(np.float32)
    full = values.repeat(3, 0).repeat(3, 1).repeat(3, 2)
    return np.asfortranarray(full[: shape[0], : shape[1], : shape[2]])


@settings(max_examples=12)
@given(SHAPES, st.integers(0, 99))
@pytest.mark.parametrize(("name", "dtype", "channels"), LOSSLESS)
def test_there_and_back(name: str, dtype: str, channels: int, shape: Vec, seed: int) -> None:
    chunk = voxels((*shape, channels), dtype, seed)
    data = encode_chunk(chunk, lossless(name))
    back = decode_chunk(data, shape, channels, dtype, lossless(name))
    assert back.flags.f_contiguous
    assert back.dtype == chunk.dtype
    np.testing.assert_array_equal(back, chunk)
    assert encode_chunk(chunk, lossless(name)) == data


@pytest.mark.parametrize(("name", "dtype", "channels"), LOSSLESS)
def test_any_memory_layout_gives_the_same_bytes(name: str, dtype: str, channels: int) -> None:
    chunk = voxels((9, 8, 7, channels), dtype, 1)
    data = encode_chunk(chunk, lossless(name))
    frozen = chunk.copy(order="F")
    frozen.flags.writeable = False
    strided = np.zeros((18, 8, 7, channels), dtype)
    strided[::2] = chunk
    for other in (np.ascontiguousarray(chunk), frozen, strided[::2], chunk.astype(chunk.dtype.newbyteorder(">"))):
        before = other.copy()
        assert encode_chunk(other, lossless(name)) == data
        np.testing.assert_array_equal(other, before)


def smooth(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    x, y, z, c = np.meshgrid(*map(np.arange, shape), indexing="ij")
    wave = 120 + 60 * np.sin(x / 9) + 40 * np.cos(y / 7 + z / 11) + 10 * c
    return np.asfortranarray(wave.astype(np.uint8))


@pytest.mark.parametrize(("name", "channels"), [("jpeg", 1), ("jpeg", 3), ("jxl", 1), ("jxl", 3), ("jxl", 4)], ids=str)
def test_lossy_encodings_stay_close_and_follow_quality(name: str, channels: int) -> None:
    chunk = smooth((33, 32, 9, channels))
    worst, size = [], []
    for quality in (30, 90):
        encoding = ChunkEncoding(name, quality)
        data = encode_chunk(chunk, encoding)
        back = decode_chunk(data, (33, 32, 9), channels, "uint8", encoding)
        assert back.flags.f_contiguous
        worst.append(np.abs(back.astype(int) - chunk).mean())
        size.append(len(data))
    assert worst[1] < 2.0
    assert worst[1] < worst[0]
    assert size[0] < size[1]


@pytest.mark.parametrize("name", ["jpeg", "png", "jxl"])
def test_tall_chunks_fit_into_a_picture(name: str) -> None:
    shape = (2, 300, 300)  # 90,000 rows: more than a jpeg can have
    chunk = smooth((*shape, 1))
    encoding = ChunkEncoding(name, 100 if name != "png" else 1)
    back = decode_chunk(encode_chunk(chunk, encoding), shape, 1, "uint8", encoding)
    assert np.abs(back.astype(int) - chunk).max() <= 2


def test_a_chunk_no_picture_can_hold() -> None:
    with pytest.raises(FormatError, match="does not fit into one picture"):
        encode_chunk(np.zeros((65521, 1, 1, 1), np.uint8), ChunkEncoding("jpeg"))


def test_png_levels_are_lossless_and_matter() -> None:
    chunk = voxels((40, 40, 20, 1), "uint8", 3)
    sizes = []
    for level in (1, 2, 9):
        data = encode_chunk(chunk, ChunkEncoding("png", level))
        np.testing.assert_array_equal(decode_chunk(data, (40, 40, 20), 1, "uint8", ChunkEncoding("png")), chunk)
        sizes.append(len(data))
    assert sizes[2] < sizes[1] < sizes[0]


def test_jxl_distance_is_that_of_libjxl() -> None:
    assert jxl_distance(100) == 0
    assert jxl_distance(90) == pytest.approx(1.0)
    assert jxl_distance(30) == pytest.approx(6.4)
    assert jxl_distance(0) == pytest.approx(25.0)
    distances = [jxl_distance(q) for q in range(101)]
    assert distances == sorted(distances, reverse=True)


def slow_compressed_segmentation(data: bytes, shape: Vec, channels: int, dtype: str, block: Vec) -> NDArray[Any]:
    """Decode voxel by voxel, from the specification."""
    words = struct.unpack(f"<{len(data) // 4}I", data)
    wide = np.dtype(dtype).itemsize == 8
    out = np.zeros((*shape, channels), dtype, order="F")
    grid = [-(-n // b) for n, b in zip(shape, block, strict=True)]
    for c in range(channels):
        base = words[c]
        for x, y, z in np.ndindex(*shape):
            i, j, k = x // block[0], y // block[1], z // block[2]
            header = base + 2 * (i + grid[0] * (j + grid[1] * k))
            table, bits, values = words[header] & 0xFFFFFF, words[header] >> 24, words[header + 1]
            at = x % block[0] + block[0] * (y % block[1] + block[1] * (z % block[2]))
            index = words[base + values + at * bits // 32] >> (at * bits % 32) & (2**bits - 1) if bits else 0
            entry = base + table + index * (2 if wide else 1)
            out[x, y, z, c] = words[entry] | (words[entry + 1] << 32 if wide else 0)
    return out


@settings(max_examples=25)
@given(
    st.tuples(st.integers(1, 11), st.integers(1, 10), st.integers(1, 9)),
    st.integers(1, 3),
    st.sampled_from(["uint32", "uint64"]),
    st.sampled_from([(8, 8, 8), (4, 3, 5), (1, 1, 1), (16, 2, 2)]),
    st.integers(0, 99),
)
def test_compressed_segmentation_is_the_specification(
    shape: Vec, channels: int, dtype: str, block: Vec, seed: int
) -> None:
    chunk = voxels((*shape, channels), dtype, seed)
    encoding = ChunkEncoding("compressed_segmentation", block_vx=block)
    data = encode_chunk(chunk, encoding)
    np.testing.assert_array_equal(slow_compressed_segmentation(data, shape, channels, dtype, block), chunk)
    np.testing.assert_array_equal(decode_chunk(data, shape, channels, dtype, encoding), chunk)


def test_compressed_segmentation_of_many_labels_per_block() -> None:
    chunk = np.arange(2 * 512, dtype=np.uint64).reshape(16, 8, 8, 1, order="F") + np.uint64(2**40)
    encoding = ChunkEncoding("compressed_segmentation")
    np.testing.assert_array_equal(decode_chunk(encode_chunk(chunk, encoding), (16, 8, 8), 1, "uint64", encoding), chunk)


def test_label_tables_beyond_24_bits_are_refused() -> None:
    chunk = np.arange(190**3, dtype=np.uint64).reshape(190, 190, 190, 1, order="F")
    with pytest.raises(FormatError, match=r"too many labels.*smaller chunks"):
        encode_chunk(chunk, CSEG)


@pytest.mark.parametrize(("name", "dtype", "channels"), KINDS)
def test_bytes_cut_short_are_found(name: str, dtype: str, channels: int) -> None:
    shape = (9, 8, 7)
    chunk = voxels((*shape, channels), dtype, 5)
    data = encode_chunk(chunk, lossless(name))
    for size in sorted({0, 1, 3, 4, 8, 16, *np.linspace(0, len(data) - 1, 12).astype(int).tolist()}):
        with pytest.raises(FormatError, match=f"{name} chunk"):
            decode_chunk(data[:size], shape, channels, dtype, lossless(name))


@pytest.mark.parametrize(("name", "dtype", "channels"), [k for k in KINDS if k[0] != "compressed_segmentation"])
def test_bytes_of_another_shape_are_found(name: str, dtype: str, channels: int) -> None:
    data = encode_chunk(voxels((9, 8, 7, channels), dtype, 5), lossless(name))
    with pytest.raises(FormatError, match=rf"{name} chunk.*Expected.*\(9, 8, 6\).*Got"):
        decode_chunk(data, (9, 8, 6), channels, dtype, lossless(name))


@pytest.mark.parametrize("name", ["jpeg", "png", "jxl"])
def test_pictures_with_other_channels_are_found(name: str) -> None:
    grey = encode_chunk(smooth((9, 8, 6, 1)), ChunkEncoding(name))
    colour = encode_chunk(smooth((9, 8, 6, 3)), ChunkEncoding(name))
    with pytest.raises(FormatError, match="1 channels"):
        decode_chunk(grey, (9, 8, 6), 3, "uint8", ChunkEncoding(name))
    with pytest.raises(FormatError, match="3 channels"):
        decode_chunk(colour, (9, 8, 6), 1, "uint8", ChunkEncoding(name))


@pytest.mark.parametrize("name", ["png", "compresso", "crackle"])
def test_streams_of_another_data_type_are_found(name: str) -> None:
    data = encode_chunk(voxels((9, 8, 7, 1), "uint16", 5), ChunkEncoding(name))
    with pytest.raises(FormatError, match="uint8"):
        decode_chunk(data, (9, 8, 7), 1, "uint8", ChunkEncoding(name))


CSEG = ChunkEncoding("compressed_segmentation")
CSEG_CHUNK = voxels((17, 9, 10, 2), "uint64", 8)
CSEG_DATA = encode_chunk(CSEG_CHUNK, CSEG)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(CSEG_DATA) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_compressed_segmentation_never_leaves_its_bytes(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(CSEG_DATA)
    for at, value in changes:
        damaged[at] = value
    with contextlib.suppress(FormatError):
        back = decode_chunk(bytes(damaged), (17, 9, 10), 2, "uint64", CSEG)
        # What is accepted must be decodable inside its own bytes; the slow decoder raises IndexError else.
        slow = slow_compressed_segmentation(bytes(damaged), (17, 9, 10), 2, "uint64", (8, 8, 8))
        np.testing.assert_array_equal(back, slow)


@pytest.mark.parametrize("name", ["png", "jxl"])
def test_a_damaged_picture_is_found(name: str) -> None:
    data = bytearray(encode_chunk(voxels((20, 20, 9, 1), "uint8", 8), lossless(name)))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(FormatError, match=f"{name} chunk: the picture is damaged"):
        decode_chunk(bytes(data), (20, 20, 9), 1, "uint8", lossless(name))


@pytest.mark.parametrize("name", ["compresso", "crackle"])
def test_damaged_heads_of_label_streams_are_found(name: str) -> None:
    data = encode_chunk(voxels((20, 20, 9, 1), "uint32", 8), ChunkEncoding(name))
    for at in (0, 4, 6, 8, 10):
        damaged = bytearray(data)
        damaged[at] ^= 0x3F
        with pytest.raises(FormatError, match=f"{name} chunk"):
            decode_chunk(bytes(damaged), (20, 20, 9), 1, "uint32", ChunkEncoding(name))


def test_damaged_crackle_labels_fail_their_checksum() -> None:
    data = bytearray(encode_chunk(voxels((20, 20, 9, 1), "uint32", 8), ChunkEncoding("crackle")))
    data[29 + 4 * 10 + 12] ^= 0x01  # header, slice index, number of labels, then labels
    with pytest.raises(FormatError, match="CRC-32C"):
        decode_chunk(bytes(data), (20, 20, 9), 1, "uint32", ChunkEncoding("crackle"))


def test_compresso_windows_must_cover_the_chunk() -> None:
    data = encode_chunk(np.zeros((20, 20, 9, 1), np.uint32), ChunkEncoding("compresso"))
    index_bytes = 2 * 9 * 2
    damaged = bytearray(data)
    damaged[-index_bytes - 1] ^= 0x01
    with pytest.raises(FormatError, match="windows"):
        decode_chunk(bytes(damaged), (20, 20, 9), 1, "uint32", ChunkEncoding("compresso"))


@pytest.mark.parametrize("name", list(ENCODINGS))
@pytest.mark.parametrize("dtype", DATA_TYPES)
@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4, 5])
def test_check_names_an_encoding_that_works(name: str, dtype: str, channels: int) -> None:
    if (name, dtype, channels) in KINDS or (ENCODINGS[name].get(dtype, ()) is None and channels > 0):
        check_encoding(ChunkEncoding(name), dtype, channels, "layer em")
        return
    with pytest.raises(FormatError, match=f"layer em: encoding {name} cannot hold") as caught:
        check_encoding(ChunkEncoding(name), dtype, channels, "layer em")
    if channels > 0:
        advice = str(caught.value).split("Use encoding ")[1].rstrip(".").split(" or ")
        for other in advice:
            check_encoding(ChunkEncoding(other), dtype, channels, "layer em")


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        (ChunkEncoding("fpzip"), "unknown encoding.*raw or jpeg.*'fpzip'"),
        (ChunkEncoding("jpeg", 0), "quality.*1 to 100.*Got 0"),
        (ChunkEncoding("png", 10), "quality.*1 to 9.*Got 10"),
        (ChunkEncoding("raw", 5), "raw has no quality"),
        (ChunkEncoding("jpeg", gzip=True), "jpeg is compressed already"),
        (ChunkEncoding("jxl", gzip=True), "jxl is compressed already"),
        (ChunkEncoding("png", gzip=True), "png is compressed already"),
    ],
)
def test_check_refuses_what_is_no_encoding(encoding: ChunkEncoding, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        check_encoding(encoding, "uint8", 1, "layer em")


@pytest.mark.parametrize("block", [(0, 8, 8), (64, 64, 32)])
def test_check_refuses_block_sizes(block: Vec) -> None:
    with pytest.raises(FormatError, match="block size"):
        check_encoding(ChunkEncoding("compressed_segmentation", block_vx=block), "uint64", 1, "layer neurons")


def test_data_type_that_no_volume_has() -> None:
    with pytest.raises(FormatError, match=r"Got float64 with 1 channel\. Use data type uint8 or"):
        check_encoding(ChunkEncoding("raw"), "float64", 1, "layer em")


def test_chunks_without_voxels_or_axes_are_refused() -> None:
    with pytest.raises(FormatError, match="no voxels"):
        encode_chunk(np.zeros((0, 2, 2, 1), np.uint8), ChunkEncoding("raw"))
    with pytest.raises(FormatError, match="raw chunk"):
        encode_chunk(np.zeros((2, 2, 2), np.uint8), ChunkEncoding("raw"))


def test_defaults_suit_the_encoding() -> None:
    assert (ChunkEncoding("jpeg").quality, ChunkEncoding("jpeg").gzip) == (85, False)
    assert (ChunkEncoding("raw").quality, ChunkEncoding("raw").gzip) == (None, True)
    assert ChunkEncoding("jpeg") == ChunkEncoding("jpeg", 85, gzip=False)


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels", "readers"),
    [
        ("raw", "float32", 2, []),
        ("compressed_segmentation", "uint64", 1, []),
        ("jpeg", "uint8", 1, []),
        ("jpeg", "uint8", 3, ["cloudvolume"]),
        ("png", "uint16", 1, ["cloudvolume"]),
        ("png", "uint16", 3, ["cloudvolume"]),
        ("jxl", "uint8", 1, ["tensorstore"]),
        ("jxl", "uint8", 4, ["cloudvolume", "tensorstore"]),
        ("compresso", "uint32", 1, ["tensorstore"]),
        ("compresso", "uint64", 1, ["neuroglancer", "tensorstore"]),
        ("crackle", "uint64", 1, ["neuroglancer", "tensorstore"]),
    ],
)
def test_readers(encoding: str, dtype: str, channels: int, readers: list[str]) -> None:
    assert unreadable_by(ChunkEncoding(encoding), dtype, channels) == readers


def test_no_reader_reads_what_cannot_be_written() -> None:
    for table in READERS.values():
        for name, holds in table.items():
            for dtype, channels in holds.items():
                for count in channels or (1, 7):
                    check_encoding(ChunkEncoding(name), dtype, count, "table")
