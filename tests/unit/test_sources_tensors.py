"""Precomputed, Zarr, OME-Zarr and N5 sources: read back what other libraries wrote, from folders and from a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
from cloudvolume import CloudVolume
from sources_reference import assert_reads, volume

from ophiolite.errors import SourceError
from ophiolite.geometry import Box
from ophiolite.sources import open_source
from ophiolite.sources.source import Source

SHAPE = (37, 29, 11)
CHUNK = (16, 8, 4)


class Silent(SimpleHTTPRequestHandler):
    """A plain file server that counts what it is asked for."""

    asked: list[str] = []  # noqa: RUF012 (one list for the server of the module)

    def log_message(self, format: str, *args: Any) -> None:
        self.asked.append(self.path)


class Patient(ThreadingHTTPServer):
    """A server that lets many connections wait instead of refusing them, which costs the client a second each."""

    request_queue_size = 128


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    Silent.asked.clear()
    with Patient(("127.0.0.1", 0), partial(Silent, directory=str(tmp_path))) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def write_precomputed(folder: Path, expected: np.ndarray, offset: tuple[int, int, int], layer_type: str) -> None:
    info = CloudVolume.create_new_info(
        num_channels=expected.shape[3],
        layer_type=layer_type,
        data_type=expected.dtype.name,
        encoding="raw" if layer_type == "image" else "compressed_segmentation",
        resolution=(4, 4, 40),
        voxel_offset=offset,
        volume_size=expected.shape[:3],
        chunk_size=CHUNK,
    )
    vol = CloudVolume(folder.as_uri(), info=info, compress=False, progress=False)
    vol.commit_info()
    vol[:] = expected


def write_array(driver: str, folder: Path, stored: np.ndarray, chunk: tuple[int, ...], **metadata: Any) -> None:
    spec: dict[str, Any] = {"driver": driver, "kvstore": {"driver": "file", "path": f"{folder}/"}}
    if driver == "zarr":
        spec["metadata"] = {"shape": stored.shape, "chunks": chunk, "dtype": stored.dtype.str, **metadata}
    elif driver == "zarr3":
        grid = {"name": "regular", "configuration": {"chunk_shape": chunk}}
        spec["metadata"] = {"shape": stored.shape, "chunk_grid": grid, "data_type": stored.dtype.name, **metadata}
    else:
        spec["metadata"] = {
            "dimensions": stored.shape,
            "blockSize": chunk,
            "dataType": stored.dtype.name,
            "compression": {"type": "gzip"},
            **metadata,
        }
    tensorstore.open(spec, create=True).result()[...] = stored


def write_json(file: Path, value: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 1), ("uint8", 3), ("uint16", 1), ("float32", 1)])
def test_precomputed_images(tmp_path: Path, dtype: str, channels: int) -> None:
    expected = volume((*SHAPE, channels), dtype)
    write_precomputed(tmp_path / "layer", expected, (-3, 100, 7), "image")
    source = open_source("layer", kind="image", base=tmp_path)
    assert (source.resolution_nm, source.alignment_vx) == ((4, 4, 40), CHUNK)
    assert_reads(source, expected, (-3, 100, 7))


def test_precomputed_labels_by_scale_key_and_prefix(tmp_path: Path) -> None:
    expected = volume((*SHAPE, 1), "uint64") // 2**60
    write_precomputed(tmp_path / "layer", expected, (0, 0, 0), "segmentation")
    assert_reads(open_source(f"precomputed://{tmp_path}/layer:/4_4_40", kind="segmentation"), expected)
    assert_reads(open_source(f"precomputed://file://{tmp_path}/layer", kind="segmentation"), expected)
    with pytest.raises(SourceError, match=r"no scale at '/8_8_40'.*Got /4_4_40"):
        open_source(f"{tmp_path}/layer:/8_8_40", kind="segmentation")


def test_precomputed_over_http(tmp_path: Path, server: str) -> None:
    expected = volume((*SHAPE, 1), "uint8")
    write_precomputed(tmp_path / "layer", expected, (5, 6, 7), "image")
    source = open_source(f"{server}/layer", kind="image")
    assert source.files == ()
    assert_reads(source, expected, (5, 6, 7))
    assert source.fingerprint() == open_source(f"precomputed://{server}/layer", kind="image").fingerprint()


def test_partial_reads_fetch_each_chunk_once(tmp_path: Path, server: str) -> None:
    expected = volume((64, 64, 8, 1), "uint8")
    write_precomputed(tmp_path / "layer", expected, (0, 0, 0), "image")
    source = open_source(f"{server}/layer", kind="image")
    Silent.asked.clear()
    for x in range(0, 64, 10):
        for y in range(0, 64, 10):
            box = Box((x, y, 0), (min(x + 11, 64), min(y + 11, 64), 8))
            np.testing.assert_array_equal(source.read(box), expected[box.slices()])
    chunks = [path for path in Silent.asked if "/4_4_40/" in path]
    assert len(chunks) == len(set(chunks)) == 4 * 8 * 2


@pytest.mark.parametrize("driver", ["zarr", "zarr3"])
def test_plain_zarr_arrays(tmp_path: Path, driver: str) -> None:
    expected = volume((*SHAPE, 1), "uint64")
    write_array(driver, tmp_path / "v.zarr" / "deep" / "labels", expected[..., 0].T, CHUNK[::-1])
    source = open_source(f"{tmp_path}/v.zarr:/deep/labels", kind="segmentation")
    assert (source.resolution_nm, source.alignment_vx) == (None, CHUNK)
    assert_reads(source, expected)
    assert_reads(open_source(f"{tmp_path}/v.zarr/deep/labels", kind="segmentation"), expected)


def test_zarr_dimension_names(tmp_path: Path) -> None:
    expected = volume((*SHAPE, 2), "uint8")
    write_array(
        "zarr3", tmp_path / "v.zarr", expected.transpose(3, 0, 1, 2), (1, *CHUNK), dimension_names=["c", "x", "y", "z"]
    )
    assert_reads(open_source(f"{tmp_path}/v.zarr", kind="image"), expected)


def multiscales(axes: str, scale: list[float], translation: list[float], unit: str | None) -> list[dict[str, Any]]:
    kinds = {"c": "channel", "t": "time"}
    listed = [
        {"name": a, "type": kinds.get(a, "space"), **({"unit": unit} if a in "xyz" and unit else {})} for a in axes
    ]
    return [
        {
            "version": "0.4",
            "axes": listed,
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [
                        {"type": "scale", "scale": scale},
                        {"type": "translation", "translation": translation},
                    ],
                },
                {"path": "1", "coordinateTransformations": [{"type": "scale", "scale": [2 * s for s in scale]}]},
            ],
        }
    ]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("inner", ["", ":/0"])
def test_ome_zarr_images(tmp_path: Path, version: str, inner: str) -> None:
    expected = volume((*SHAPE, 2), "uint16")
    stored = expected.transpose(3, 2, 1, 0)[None]
    scales = multiscales("tczyx", [1, 1, 0.04, 0.004, 0.004], [0, 0, 0.4, -0.008, 0.0041], "micrometer")
    image = tmp_path / "image.ome.zarr"
    write_array("zarr" if version == "0.4" else "zarr3", image / "0", stored, (1, 1, *CHUNK[::-1]))
    if version == "0.4":
        write_json(image / ".zgroup", {"zarr_format": 2})
        write_json(image / ".zattrs", {"multiscales": scales})
    else:
        attributes = {"ome": {"version": "0.5", "multiscales": scales}}
        write_json(image / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": attributes})
    source = open_source(f"{image}{inner}", kind="image")
    assert source.resolution_nm == (4, 4, 40)
    assert_reads(source, expected, (1, -2, 10))


def test_ome_zarr_labels_and_coarser_levels(tmp_path: Path) -> None:
    expected = volume((*SHAPE, 1), "uint32")
    labels = tmp_path / "image.zarr" / "labels" / "cells"
    write_json(tmp_path / "image.zarr" / ".zgroup", {"zarr_format": 2})
    write_json(labels / ".zgroup", {"zarr_format": 2})
    write_json(labels / ".zattrs", {"multiscales": multiscales("zyx", [40, 4, 4], [0, 0, 0], "nanometer")})
    for level in "01":
        write_array("zarr", labels / level, expected[..., 0].T, CHUNK[::-1])
    fine = open_source(f"{tmp_path}/image.zarr:/labels/cells", kind="segmentation")
    coarse = open_source(f"{tmp_path}/image.zarr:/labels/cells/1", kind="segmentation")
    assert (fine.resolution_nm, coarse.resolution_nm) == ((4, 4, 40), (8, 8, 80))
    assert_reads(fine, expected)
    assert fine.fingerprint() != coarse.fingerprint()
    with pytest.raises(SourceError, match=r"no Zarr array or OME-Zarr image at '/'.*Got /labels/cells"):
        open_source(f"{tmp_path}/image.zarr", kind="image")


def test_ome_zarr_over_http(tmp_path: Path, server: str) -> None:
    expected = volume((*SHAPE, 1), "uint8")
    write_array("zarr", tmp_path / "i.zarr" / "0", expected[..., 0].T, CHUNK[::-1])
    write_json(tmp_path / "i.zarr" / ".zgroup", {"zarr_format": 2})
    write_json(tmp_path / "i.zarr" / ".zattrs", {"multiscales": multiscales("zyx", [3, 2, 1], [0, 0, 0], "nanometer")})
    for text in (f"{server}/i.zarr", f"{server}/i.zarr:/0", f"zarr://{server}/i.zarr"):
        source = open_source(text, kind="image")
        assert source.resolution_nm == (1, 2, 3)
        assert_reads(source, expected, count=3)


@pytest.mark.parametrize(
    ("scales", "words"),
    [
        (multiscales("zyx", [0, 1, 1], [0, 0, 0], "nanometer"), "above zero"),
        (multiscales("zyx", [1, -1, 1], [0, 0, 0], "nanometer"), "above zero"),
        (multiscales("zyx", [1, 1], [0, 0], "nanometer"), "transformation of the OME-Zarr image is not read"),
        (multiscales("tyx", [1, 1, 1], [0, 0, 0], "nanometer"), "axis 't'"),
    ],
)
def test_bad_ome_metadata_are_refused(tmp_path: Path, scales: list[dict[str, Any]], words: str) -> None:
    write_array("zarr", tmp_path / "i.zarr" / "0", np.zeros((4, 4, 4), "u1"), (4, 4, 4))
    write_json(tmp_path / "i.zarr" / ".zgroup", {"zarr_format": 2})
    write_json(tmp_path / "i.zarr" / ".zattrs", {"multiscales": scales})
    with pytest.raises(SourceError, match=words):
        open_source(f"{tmp_path}/i.zarr", kind="image")


def test_units_nobody_states_leave_the_resolution_open(tmp_path: Path) -> None:
    write_array("zarr", tmp_path / "i.zarr" / "0", np.zeros((4, 4, 4), "u1"), (4, 4, 4))
    write_json(tmp_path / "i.zarr" / ".zgroup", {"zarr_format": 2})
    write_json(tmp_path / "i.zarr" / ".zattrs", {"multiscales": multiscales("zyx", [2, 2, 2], [4, 0, 8], None)})
    source = open_source(f"{tmp_path}/i.zarr", kind="image")
    assert (source.resolution_nm, source.voxel_offset_vx) == (None, (4, 0, 2))


COSEM = {"axes": ["z", "y", "x"], "scale": [5.24, 4, 4], "translate": [52.4, 0, 8.1], "units": ["nm", "nm", "nm"]}


@pytest.mark.parametrize(
    ("attributes", "resolution_nm", "offset"),
    [
        ({}, None, (0, 0, 0)),
        ({"resolution": [4, 4, 40]}, None, (0, 0, 0)),
        ({"resolution": [4, 4, 40], "units": ["nm", "nm", "nm"]}, (4, 4, 40), (0, 0, 0)),
        ({"pixelResolution": {"dimensions": [0.004, 0.004, 0.04], "unit": "um"}}, (4, 4, 40), (0, 0, 0)),
        ({"transform": COSEM}, (4, 4, 5.24), (2, 0, 10)),
    ],
)
def test_n5_arrays_and_their_placement(
    tmp_path: Path,
    attributes: dict[str, Any],
    resolution_nm: tuple[float, ...] | None,
    offset: tuple[int, int, int],
) -> None:
    expected = volume((*SHAPE, 1), "uint64")
    write_array("n5", tmp_path / "v.n5" / "em" / "s0", expected[..., 0], CHUNK, **attributes)
    write_json(tmp_path / "v.n5" / "attributes.json", {"n5": "2.0.0"})
    for inner in ("/em/s0", "/em"):
        source = open_source(f"{tmp_path}/v.n5:{inner}", kind="segmentation")
        assert (source.resolution_nm, source.alignment_vx) == (resolution_nm, CHUNK)
        assert_reads(source, expected, offset)
    with pytest.raises(SourceError, match=r"no N5 array at '/lm'.*Got /em/s0"):
        open_source(f"{tmp_path}/v.n5:/lm", kind="image")


def test_n5_over_http_with_the_resolution_of_the_group(tmp_path: Path, server: str) -> None:
    expected = volume((*SHAPE, 1), "uint8")
    write_array("n5", tmp_path / "v.n5" / "em" / "s1", expected[..., 0], CHUNK, downsamplingFactors=[2, 2, 1])
    group = {"pixelResolution": {"dimensions": [4, 4, 40], "unit": "nm"}}
    write_json(tmp_path / "v.n5" / "em" / "attributes.json", group)
    source: Source = open_source(f"n5://{server}/v.n5:/em/s1", kind="image")
    assert source.resolution_nm == (8, 8, 40)
    assert_reads(source, expected, count=3)


def test_other_bad_sources(tmp_path: Path, server: str) -> None:
    write_json(tmp_path / "mesh" / "info", {"@type": "neuroglancer_multilod_draco"})
    with pytest.raises(SourceError, match="names no scales"):
        open_source(f"{tmp_path}/mesh", kind="image")
    (tmp_path / "mesh" / "info").write_text("{ not json")
    with pytest.raises(SourceError, match="`info` cannot be read"):
        open_source(f"{tmp_path}/mesh", kind="image")
    with pytest.raises(SourceError, match="there is no `info` file"):
        open_source(f"{server}/nowhere", kind="image")
    with pytest.raises(SourceError, match="hdf5 is read from local files only"):
        open_source(f"{server}/v.h5", kind="image", format="hdf5")
    with pytest.raises(SourceError, match="no file or folder"):
        open_source("gone.zarr:/0", kind="image", base=tmp_path)
    write_array("zarr", tmp_path / "labels.zarr", np.zeros((4, 4, 4), "i4"), (4, 4, 4))
    with pytest.raises(SourceError, match="labels cannot be signed"):
        open_source(f"{tmp_path}/labels.zarr", kind="segmentation")
    write_array("zarr", tmp_path / "empty.zarr", np.zeros((4, 0, 4), "u1"), (4, 4, 4))
    with pytest.raises(SourceError, match="volume is empty"):
        open_source(f"{tmp_path}/empty.zarr", kind="image")


def test_a_damaged_chunk_is_an_error(tmp_path: Path) -> None:
    write_array("n5", tmp_path / "v.n5", volume((*SHAPE, 1), "uint8")[..., 0], CHUNK)
    chunk = tmp_path / "v.n5" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:40])
    source = open_source(f"{tmp_path}/v.n5", kind="image")
    with pytest.raises(SourceError, match=r"voxels \(0, 0, 0\) to \(37, 29, 11\) cannot be read"):
        source.read(source.box)
