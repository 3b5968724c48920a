"""HDF5 sources: placement, axis orders, chunk cache, and everything that can be wrong with a file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from sources_reference import assert_reads, volume

from ophiolite.errors import SourceError
from ophiolite.geometry import Box
from ophiolite.precomputed.encoding import DATA_TYPES
from ophiolite.sources import open_source
from ophiolite.sources.open import IMAGE_DTYPES


def write(file: Path, name: str, stored: np.ndarray, attributes: dict[str, object] | None = None, **how: object) -> str:
    with h5py.File(file, "a") as handle:
        dataset = handle.create_dataset(name, data=stored, **how)
        for key, value in (attributes or {}).items():
            dataset.attrs[key] = value
    return f"{file}:{name}"


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">u4", "uint64", "float32"])
@pytest.mark.parametrize("chunks", [None, (5, 16, 8)])
def test_reads_every_box(tmp_path: Path, dtype: str, chunks: tuple[int, ...] | None) -> None:
    expected = volume((37, 29, 23, 1), dtype)
    how = {"chunks": chunks, "compression": "gzip"} if chunks else {}
    text = write(tmp_path / "v.h5", "/volumes/raw", expected[..., 0].T, **how)
    source = open_source(text, kind="image")
    assert source.alignment_vx == ((8, 16, 5) if chunks else (1, 1, 1))
    assert source.resolution_nm is None
    assert_reads(source, expected)


def test_cremi_attributes_place_the_volume(tmp_path: Path) -> None:
    expected = volume((20, 24, 16, 1), "uint64")
    attributes = {"resolution": [40.0, 4.0, 4.0], "offset": [1520.0, 3644.0, -8.0]}
    text = write(tmp_path / "v.hdf", "labels", expected[..., 0].T, attributes, chunks=(4, 8, 8))
    source = open_source(text, kind="segmentation")
    assert source.resolution_nm == (4.0, 4.0, 40.0)
    assert_reads(source, expected, (-2, 911, 38))


def test_plantseg_attribute_is_in_micrometres(tmp_path: Path) -> None:
    text = write(tmp_path / "v.h5", "raw", np.zeros((4, 5, 6), "u1"), {"element_size_um": [0.235, 0.15, 0.15]})
    assert open_source(text, kind="image").resolution_nm == (150.0, 150.0, 235.0)


@pytest.mark.parametrize(
    ("axes", "order", "attributes"),
    [
        ("zyxc", (2, 1, 0, 3), {}),
        ("czyx", (3, 2, 1, 0), {"axes": "czyx"}),
        ("xyzc", (0, 1, 2, 3), {"axes": list("xyzc")}),
        ("czyx", (3, 2, 1, 0), {"axistags": json.dumps({"axes": [{"key": k} for k in "czyx"]})}),
    ],
)
def test_channels_in_any_axis_order(
    tmp_path: Path, axes: str, order: tuple[int, ...], attributes: dict[str, object]
) -> None:
    expected = volume((11, 12, 13, 3), "uint16")
    text = write(tmp_path / "v.h5", "d", expected.transpose(order), attributes, chunks=(3, 4, 5, 3))
    assert_reads(open_source(text, kind="image"), expected)


def test_resolution_follows_the_named_axes(tmp_path: Path) -> None:
    stored = np.zeros((6, 5, 4), "u1")
    text = write(tmp_path / "v.h5", "d", stored, {"axes": "xyz", "resolution": [1.0, 2.0, 3.0], "offset": [5, 4, 3]})
    source = open_source(text, kind="image")
    assert (source.shape_vx, source.resolution_nm, source.voxel_offset_vx) == ((6, 5, 4), (1, 2, 3), (5, 2, 1))


def test_a_flat_image_and_a_time_axis_of_one(tmp_path: Path) -> None:
    expected = volume((9, 8, 1, 1), "uint8")
    flat = write(tmp_path / "v.h5", "flat", expected[:, :, 0, 0].T)
    timed = write(tmp_path / "v.h5", "timed", expected[:, :, 0, 0].T[None, None], {"axes": "tzyx"})
    assert_reads(open_source(flat, kind="image"), expected)
    assert_reads(open_source(timed, kind="image"), expected)


def test_the_single_volume_needs_no_inner_path(tmp_path: Path) -> None:
    write(tmp_path / "v.h5", "table", np.zeros((4, 2)))
    write(tmp_path / "v.h5", "deep/volume", np.ones((2, 3, 4), "u1"))
    assert open_source(str(tmp_path / "v.h5"), kind="image").shape_vx == (4, 3, 2)


def test_the_config_replaces_bad_metadata(tmp_path: Path) -> None:
    attributes = {"resolution": [0.0, 4.0, 4.0], "offset": [1.0, 2.0, 3.0]}
    text = write(tmp_path / "v.h5", "d", np.zeros((4, 5, 6), "u1"), attributes)
    source = open_source(text, kind="image", resolution_nm=[8, 8, 30], voxel_offset_vx=(7, 0, -1))
    assert (source.resolution_nm, source.voxel_offset_vx) == ((8, 8, 30), (7, 0, -1))


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"resolution": [40.0, 0.0, 4.0]}, "above zero.*4, 0, 40 nm"),
        ({"resolution": [40.0, -4.0, 4.0]}, "above zero"),
        ({"resolution": [float("nan"), 4.0, 4.0]}, "above zero"),
        ({"resolution": [4.0, 4.0]}, "attribute `resolution` does not fit"),
        ({"resolution": "fine"}, "attribute `resolution` does not fit"),
        ({"resolution": [40.0, 4.0, 4.0], "offset": [40.0, 6.0, 4.0]}, "not a whole number of voxels.*1.5"),
        ({"offset": [40.0, 4.0, 4.0]}, "nothing says how large a voxel is"),
        ({"axes": "tyx"}, "axis 't'.*length 1"),
        ({"axes": "zyxc"}, "do not describe the array"),
    ],
)
def test_bad_metadata_are_refused(tmp_path: Path, attributes: dict[str, object], words: str) -> None:
    text = write(tmp_path / "v.h5", "d", np.zeros((4, 5, 6), "u1"), attributes)
    with pytest.raises(SourceError, match=words):
        open_source(text, kind="image")


def test_a_missing_inner_path_names_what_is_there(tmp_path: Path) -> None:
    write(tmp_path / "v.h5", "volumes/raw", np.zeros((4, 5, 6), "u1"))
    write(tmp_path / "v.h5", "volumes/labels/neuron_ids", np.zeros((4, 5, 6), "u8"))
    with pytest.raises(SourceError) as caught:
        open_source(f"{tmp_path / 'v.h5'}:/volumes/labels/neuron_id", kind="segmentation")
    message = str(caught.value)
    assert "/volumes/raw (4, 5, 6) uint8" in message
    assert message.endswith("v.h5:/volumes/labels/neuron_ids`.")
    with pytest.raises(SourceError, match="'/volumes' is a group"):
        open_source(f"{tmp_path / 'v.h5'}:/volumes", kind="image")
    with pytest.raises(SourceError, match="path inside the HDF5 file is missing"):
        open_source(str(tmp_path / "v.h5"), kind="image")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write(
        tmp_path / "v.h5", "d", rng.integers(0, 255, (40, 40, 40), dtype="u1"), chunks=(10, 40, 40), compression="gzip"
    )
    whole = (tmp_path / "v.h5").read_bytes()
    (tmp_path / "half.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"half\.h5.*truncated"):
        open_source(f"{tmp_path}/half.h5:d", kind="image")
    (tmp_path / "text.h5").write_text("not a volume")
    with pytest.raises(SourceError, match="not an HDF5 file"):
        open_source(f"{tmp_path}/text.h5:d", kind="image")
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 4000] = bytes(4000)
    (tmp_path / "bad.h5").write_bytes(damaged)
    source = open_source(f"{tmp_path}/bad.h5:d", kind="image")
    with pytest.raises(SourceError, match="cannot be decoded"):
        source.read(source.box)


@pytest.mark.parametrize(
    ("stored", "kind", "words"),
    [
        (np.zeros((0, 5, 6), "u1"), "image", "volume is empty"),
        (np.zeros((4, 5, 6), "f4"), "segmentation", "labels cannot be floats.*astype"),
        (np.zeros((4, 5, 6), "i8"), "segmentation", "labels cannot be signed.*uint64"),
        (np.zeros((4, 5, 6, 2), "u4"), "segmentation", "labels have one channel"),
        (np.zeros((4, 5, 6), "?"), "segmentation", "type bool are not read"),
        (np.zeros((4, 5, 6), "f8"), "image", "float64 are not read.*float32"),
        (np.zeros((4, 5, 6, 5), "u1"), "image", "too many channels.*Got 5"),
        (np.zeros((2, 2, 4, 5, 6), "u1"), "image", "5 axes is no volume"),
        (np.zeros(3, "S4"), "image", "holds no numbers"),
    ],
)
def test_volumes_that_cannot_become_layers(tmp_path: Path, stored: np.ndarray, kind: str, words: str) -> None:
    text = write(tmp_path / "v.h5", "d", stored)
    with pytest.raises(SourceError, match=words):
        open_source(text, kind=kind)  # type: ignore[arg-type]


def test_missing_files_suggest_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "sample_A.h5", "d", np.zeros((4, 5, 6), "u1"))
    with pytest.raises(SourceError, match=r"no file or folder.*Did you mean 'sample_A.h5'"):
        open_source("sample_a.h5:/d", kind="image", base=tmp_path)
    with pytest.raises(SourceError, match=r"folder .* does not exist"):
        open_source("no/where.h5:/d", kind="image", base=tmp_path)
    with pytest.raises(SourceError, match=r"no such source format.*Write `format: hdf5`"):
        open_source("sample_A.h5:/d", kind="image", base=tmp_path, format="hdf")


def test_the_types_of_images_are_those_of_precomputed() -> None:
    assert set(IMAGE_DTYPES) == set(DATA_TYPES)


def test_a_source_without_permission_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = write(tmp_path / "v.h5", "d", np.zeros((4, 5, 6), "u1"))

    def forbid(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", "v.h5")

    monkeypatch.setattr(Path, "open", forbid)
    with pytest.raises(SourceError, match=r"cannot be read .*Permission denied"):
        open_source(text, kind="image")


def test_boxes_outside_are_a_fault_of_the_caller(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "v.h5", "d", np.zeros((4, 5, 6), "u1")), kind="image")
    with pytest.raises(ValueError, match="leaves the volume"):
        source.read(Box((0, 0, 0), (6, 5, 5)))
    assert source.read(Box((2, 2, 2), (2, 4, 4))).shape == (0, 2, 2, 1)


@pytest.mark.parametrize(
    "how",
    [
        {"compression": "gzip", "shuffle": True},
        {"compression": "gzip", "fletcher32": True},
        {"compression": "lzf"},
        {"shuffle": True},
        {},
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", ">u4", "float32"])
def test_filters_and_absent_chunks(tmp_path: Path, how: dict[str, object], dtype: str) -> None:
    expected = volume((20, 30, 40, 1), dtype)
    expected[:8, :8, :8] = 9
    with h5py.File(tmp_path / "v.h5", "w") as handle:
        dataset = handle.create_dataset("d", (40, 30, 20), dtype, chunks=(8, 8, 8), fillvalue=9, **how)
        for z in range(0, 40, 8):
            for y in range(0, 30, 8):
                for x in range(0, 20, 8):
                    if (x, y, z) != (0, 0, 0):
                        dataset[z : z + 8, y : y + 8, x : x + 8] = expected[x : x + 8, y : y + 8, z : z + 8, 0].T
    assert_reads(open_source(f"{tmp_path}/v.h5:d", kind="image"), expected)


def test_nothing_was_ever_written(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("v", shape=(40, 40, 40), dtype="u8", chunks=(8, 8, 8), fillvalue=3)
    source = open_source(f"{tmp_path}/v.h5:/v", kind="segmentation", resolution_nm=(1, 1, 1))
    assert (source.read(source.box) == 3).all()


def test_a_chunk_whose_filters_were_left_out(tmp_path: Path) -> None:
    expected = volume((8, 8, 16, 1), "uint16")
    with h5py.File(tmp_path / "v.h5", "w") as handle:
        dataset = handle.create_dataset("d", (16, 8, 8), "u2", chunks=(8, 8, 8), compression="gzip", shuffle=True)
        dataset[8:] = expected[:, :, 8:, 0].T
        dataset.id.write_direct_chunk((0, 0, 0), expected[:, :, :8, 0].T.tobytes(), filter_mask=3)
    assert_reads(open_source(f"{tmp_path}/v.h5:d", kind="image"), expected)


def test_types_of_unusual_precision_are_read_by_hdf5_itself(tmp_path: Path) -> None:
    kind = h5py.h5t.STD_U16BE.copy()
    kind.set_precision(12)
    kind.set_offset(2)
    with h5py.File(tmp_path / "v.h5", "w") as handle:
        space, plist = h5py.h5s.create_simple((2, 2, 2)), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((2, 2, 2))
        plist.set_deflate(4)
        dataset = h5py.Dataset(h5py.h5d.create(handle.id, b"d", kind, space, plist))
        dataset[...] = np.arange(8).reshape(2, 2, 2) + 4000
    source = open_source(f"{tmp_path}/v.h5:d", kind="image")
    np.testing.assert_array_equal(source.read(source.box)[..., 0].T.ravel(), np.arange(8) + 4000)


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts bytes read through /proc/self/io (Linux)")
@pytest.mark.parametrize("how", [{"compression": "gzip", "compression_opts": 1}, {"compression": "lzf"}])
def test_tiles_that_cut_chunks_decode_each_once(tmp_path: Path, how: dict[str, object]) -> None:
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 2**32, (64, 128, 128), dtype="u4")
    text = write(tmp_path / "v.h5", "d", stored, chunks=(32, 32, 32), **how)
    size = (tmp_path / "v.h5").stat().st_size
    source = open_source(text, kind="image")

    def bytes_read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    before = bytes_read()
    for z in range(0, 64, 24):
        for x in range(0, 128, 24):
            for y in range(0, 128, 24):
                stop = (min(x + 25, 128), min(y + 25, 128), min(z + 25, 64))
                source.read(Box((x, y, z), stop))
    # Random numbers do not compress, so bytes read are chunks decoded; tiles of 24 + 1 cut chunks of 32 everywhere.
    assert bytes_read() - before < 1.05 * size


def test_the_fingerprint_follows_the_file(tmp_path: Path) -> None:
    text = write(tmp_path / "v.h5", "d", np.zeros((4, 5, 6), "u1"))
    first = open_source(text, kind="image").fingerprint()
    assert first == open_source(text, kind="image").fingerprint()
    with h5py.File(tmp_path / "v.h5", "a") as handle:
        handle["d"].attrs["resolution"] = [3.0, 2.0, 1.0]
    assert open_source(text, kind="image").fingerprint() != first


def test_opening_hdf5_imports_no_other_reader(tmp_path: Path, repository: Path) -> None:
    text = write(tmp_path / "v.h5", "d", np.zeros((4, 5, 6), "u1"))
    heavy = {"tensorstore", "tifffile", "imagecodecs", "PIL", "nrrd", "pooch", "scipy", "numba"}
    code = (
        "import sys; from ophiolite.sources import open_source; "
        f"open_source({text!r}, kind='image'); print(sorted({heavy} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(repository / "scripts")}, capture_output=True, text=True
    )
    assert run.stdout.strip() == "[]", run.stderr


def test_fib25_has_the_stated_facts(data_dir: Path) -> None:
    raw = open_source(f"{data_dir}/em/fib25_t2_cremi.h5:/volumes/raw", kind="image")
    assert (raw.shape_vx, raw.dtype, raw.resolution_nm) == ((250, 250, 250), np.uint8, (10, 10, 10))
    labels = open_source(f"{data_dir}/em/fib25_t2_cremi.h5:/volumes/labels/neuron_ids", kind="segmentation")
    assert labels.dtype == np.uint64
    assert np.unique(labels.read(labels.box)).size == 526


def test_pinky40_and_the_ovule_have_the_stated_facts(data_dir: Path) -> None:
    cortex = open_source(f"{data_dir}/em/pinky40_512.h5:main", kind="segmentation")
    assert (cortex.shape_vx, cortex.dtype, cortex.resolution_nm) == ((512, 512, 512), np.uint32, (16, 16, 40))
    cells = open_source(f"{data_dir}/lm/plantseg_sample_ovule.h5:/label", kind="segmentation")
    assert (cells.shape_vx, cells.dtype, cells.resolution_nm) == ((128, 128, 32), np.uint16, (150, 150, 235))
    assert np.unique(cells.read(cells.box)).size == 50 + 1
