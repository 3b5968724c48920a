"""`.npy` and NRRD sources: axis order, placement from headers, streams read out of order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
from sources_reference import assert_reads, volume

from ophiolite.errors import SourceError
from ophiolite.geometry import Box
from ophiolite.sources import nrrd as nrrd_source
from ophiolite.sources import open_source

SHAPE = (31, 23, 17)


@pytest.mark.parametrize("dtype", ["uint8", ">i2", "uint64", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_npy_in_either_memory_order(tmp_path: Path, dtype: str, channels: int) -> None:
    expected = volume((*SHAPE, channels), dtype)
    stored = expected[..., 0] if channels == 1 else expected
    indexed_zyx = np.moveaxis(stored, (0, 1, 2), (2, 1, 0))
    np.save(tmp_path / "f.npy", np.asfortranarray(indexed_zyx))
    np.save(tmp_path / "c.npy", np.ascontiguousarray(indexed_zyx))
    for name in ("f", "c"):
        source = open_source(str(tmp_path / f"{name}.npy"), kind="image")
        assert (source.resolution_nm, source.cache_bytes) == (None, 0)
        assert_reads(source, expected)


def test_npy_takes_its_place_from_the_config(tmp_path: Path) -> None:
    expected = volume((*SHAPE, 1), "uint32")
    np.save(tmp_path / "v.npy", expected[..., 0].T)
    source = open_source(
        "v.npy", kind="segmentation", base=tmp_path, resolution_nm=(8, 8, 33), voxel_offset_vx=(-5, 0, 9)
    )
    assert source.resolution_nm == (8, 8, 33)
    assert_reads(source, expected, (-5, 0, 9))


def test_damaged_npy_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.zeros((40, 40, 40), "u1"))
    whole = (tmp_path / "v.npy").read_bytes()
    np.save(tmp_path / "objects.npy", np.array([[[{}]]], dtype=object), allow_pickle=True)
    for data in (b"", whole[:9], whole[:30000], b"text" * 100):
        (tmp_path / "bad.npy").write_bytes(data)
        with pytest.raises(SourceError, match=r"bad\.npy: the \.npy file cannot be mapped"):
            open_source(str(tmp_path / "bad.npy"), kind="image")
    with pytest.raises(SourceError, match="cannot be mapped"):
        open_source(str(tmp_path / "objects.npy"), kind="image")
    np.save(tmp_path / "empty.npy", np.zeros((0, 4, 4), "u1"))
    with pytest.raises(SourceError, match="volume is empty"):
        open_source(str(tmp_path / "empty.npy"), kind="image")


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint64", "float32"])
@pytest.mark.parametrize("suffix", ["nrrd", "nhdr"])
def test_nrrd_reads_every_box(tmp_path: Path, encoding: str, dtype: str, suffix: str) -> None:
    expected = volume((*SHAPE, 1), dtype)
    nrrd.write(str(tmp_path / f"v.{suffix}"), expected[..., 0], {"encoding": encoding})
    source = open_source(str(tmp_path / f"v.{suffix}"), kind="image")
    assert source.resolution_nm is None
    assert source.alignment_vx == ((1, 1, 1) if encoding == "raw" else (31, 23, 1))
    assert_reads(source, expected)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("axis", [0, 1, 3])
def test_nrrd_channels_on_any_axis(tmp_path: Path, encoding: str, axis: int) -> None:
    expected = volume((*SHAPE, 3), "uint8")
    kinds = ["domain"] * 3
    kinds.insert(axis, "RGB-color")
    nrrd.write(str(tmp_path / "v.nrrd"), np.moveaxis(expected, 3, axis), {"encoding": encoding, "kinds": kinds})
    assert_reads(open_source(str(tmp_path / "v.nrrd"), kind="image"), expected)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd_skips_and_byte_order(tmp_path: Path, encoding: str) -> None:
    import gzip

    expected = volume((*SHAPE, 1), ">u2")
    data = b"12345" + expected.tobytes("F")
    packed = gzip.compress(data[:9000]) + gzip.compress(data[9000:]) if encoding == "gzip" else data
    (tmp_path / "v.raw").write_bytes(b"a line\nanother\n" + packed)
    (tmp_path / "v.nhdr").write_text(
        "NRRD0004\ntype: ushort\ndimension: 3\nsizes: 31 23 17\nendian: big\nline skip: 2\nbyte skip: 5\n"
        f"encoding: {encoding}\ndata file: v.raw\n"
    )
    assert_reads(open_source(str(tmp_path / "v.nhdr"), kind="image"), expected)
    if encoding == "raw":
        text = (tmp_path / "v.nhdr").read_text().replace("byte skip: 5", "byte skip: -1")
        (tmp_path / "v.nhdr").write_text(text)
        assert_reads(open_source(str(tmp_path / "v.nhdr"), kind="image"), expected)


STRAIGHT = np.diag([0.5, 0.5, 2.0])
OBLIQUE = np.array([[0.3, 0.4, 0.0], [-0.4, 0.3, 0.0], [0.0, 0.0, 2.0]])


@pytest.mark.parametrize(
    ("header", "resolution_nm", "offset"),
    [
        ({"space directions": STRAIGHT, "space": "left-posterior-superior"}, (5e5, 5e5, 2e6), (0, 0, 0)),
        (
            {
                "space directions": STRAIGHT,
                "space dimension": 3,
                "space units": ["um"] * 3,
                "space origin": [5, -1.0, 4.4],
            },
            (500, 500, 2000),
            (10, -2, 2),
        ),
        ({"space directions": OBLIQUE, "space": "RAS", "space origin": [5.0, 5, 5]}, (5e5, 5e5, 2e6), (0, 0, 0)),
        ({"space directions": -STRAIGHT, "space": "LPS", "space origin": [5.0, 5, 5]}, (5e5, 5e5, 2e6), (0, 0, 0)),
        ({"space directions": STRAIGHT, "space dimension": 3, "space origin": [5, 5, 4]}, None, (10, 10, 2)),
        ({"spacings": [4.0, 4.0, 40.0], "units": ["nm", "nm", "nm"]}, (4, 4, 40), (0, 0, 0)),
        ({"spacings": [4.0, 4.0, 40.0]}, None, (0, 0, 0)),
    ],
)
def test_nrrd_placement(
    tmp_path: Path, header: dict[str, Any], resolution_nm: tuple[float, ...] | None, offset: tuple[int, int, int]
) -> None:
    expected = volume((5, 4, 3, 1), "uint8")
    nrrd.write(str(tmp_path / "v.nrrd"), expected[..., 0], header)
    source = open_source(str(tmp_path / "v.nrrd"), kind="image")
    assert source.resolution_nm == resolution_nm
    assert_reads(source, expected, offset)


@pytest.mark.parametrize("spacing", [0.0, -4.0])
def test_nrrd_spacings_below_zero_are_refused_unless_the_config_mends_them(tmp_path: Path, spacing: float) -> None:
    header = {"spacings": [4.0, spacing, 40.0], "units": ["nm", "nm", "nm"]}
    nrrd.write(str(tmp_path / "v.nrrd"), np.zeros((5, 4, 3), "u1"), header)
    with pytest.raises(SourceError, match="above zero"):
        open_source(str(tmp_path / "v.nrrd"), kind="image")
    assert open_source(str(tmp_path / "v.nrrd"), kind="image", resolution_nm=(4, 4, 40)).resolution_nm == (4, 4, 40)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_truncated_nrrd_files_are_refused(tmp_path: Path, encoding: str) -> None:
    nrrd.write(str(tmp_path / "v.nrrd"), volume((*SHAPE, 1), "uint8")[..., 0], {"encoding": encoding})
    whole = (tmp_path / "v.nrrd").read_bytes()
    (tmp_path / "v.nrrd").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"v\.nrrd: the NRRD file is truncated"):
        open_source(str(tmp_path / "v.nrrd"), kind="image").read(Box((0, 0, 16), (1, 1, 17)))


def test_other_bad_nrrd_files(tmp_path: Path) -> None:
    def header(text: str) -> str:
        (tmp_path / "v.nhdr").write_text(f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\n{text}\n")
        return str(tmp_path / "v.nhdr")

    with pytest.raises(SourceError, match=r"several data files.*Got LIST"):
        open_source(header("encoding: raw\ndata file: LIST 3"), kind="image")
    with pytest.raises(SourceError, match=r"data file that does not exist: no\.raw"):
        open_source(header("encoding: raw\ndata file: no.raw"), kind="image")
    (tmp_path / "v.raw").write_bytes(b"0 1 2 3 4 5 6 7")
    with pytest.raises(SourceError, match=r"encoding is not read.*Got text"):
        open_source(header("encoding: text\ndata file: v.raw"), kind="image")
    (tmp_path / "bad.nrrd").write_text("NRRD0004\nsizes: 1 2 3\n\n")
    with pytest.raises(SourceError, match="header cannot be read"):
        open_source(str(tmp_path / "bad.nrrd"), kind="image")
    nrrd.write(str(tmp_path / "signed.nrrd"), np.zeros((2, 2, 2), "i2"))
    with pytest.raises(SourceError, match=r"labels cannot be signed.*astype\('uint16'\)"):
        open_source(str(tmp_path / "signed.nrrd"), kind="segmentation")
    damaged = tmp_path / "damaged.nrrd"
    nrrd.write(str(damaged), volume((*SHAPE, 1), "uint8")[..., 0], {"encoding": "gzip"})
    data = bytearray(damaged.read_bytes())
    data[-9000:-8000] = b"\xff" * 1000
    damaged.write_bytes(data)
    with pytest.raises(SourceError, match="gzip stream is damaged"):
        open_source(str(damaged), kind="image").read(Box((0, 0, 0), SHAPE))


def test_a_gzip_stream_is_inflated_about_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = volume((64, 64, 64, 1), "uint16")
    nrrd.write(str(tmp_path / "v.nrrd"), expected[..., 0], {"encoding": "gzip"}, compression_level=1)
    monkeypatch.setattr(nrrd_source, "_CHECKPOINT_BYTES", 2**16)
    monkeypatch.setattr(nrrd_source, "_STEP_BYTES", 2**14)
    monkeypatch.setattr(nrrd_source, "CACHE_BYTES", 16 * 64 * 64 * 2)
    read: list[int] = []
    piece = nrrd_source._GzipStream._inflate

    def counted(stream: Any) -> bytes:
        data = piece(stream)
        read.append(len(data))
        return data

    monkeypatch.setattr(nrrd_source._GzipStream, "_inflate", counted)
    source = open_source(str(tmp_path / "v.nrrd"), kind="image")
    for z in range(0, 64, 16):
        for x in range(0, 64, 32):
            box = Box((x, 0, z), (x + 32, 64, z + 16))
            np.testing.assert_array_equal(source.read(box), expected[box.slices()])
    assert sum(read) <= 1.02 * expected.nbytes
    read.clear()
    back = Box((0, 0, 3), (64, 64, 4))
    np.testing.assert_array_equal(source.read(back), expected[back.slices()])
    assert sum(read) < 0.1 * expected.nbytes


def test_real_nrrd_masks_have_the_facts_of_their_headers(data_dir: Path) -> None:
    source = open_source(f"{data_dir}/dicom/dcmqi_ct_seg/liver_seg.nrrd", kind="image")
    assert (source.shape_vx, source.dtype) == ((512, 512, 3), np.int16)
    assert source.resolution_nm == (810547, 810547, 1e6)
    expected, _ = nrrd.read(f"{data_dir}/dicom/dcmqi_ct_seg/liver_seg.nrrd")
    np.testing.assert_array_equal(source.read(source.box)[..., 0], expected)
