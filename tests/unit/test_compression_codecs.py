"""Every pair of encoding and second stage gives back what it got, and who reads it is what readers do."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ophiolite.errors import FormatError
from ophiolite.precomputed.encoding import DATA_TYPES, ENCODINGS, READERS, ChunkEncoding, unreadable_by
from ophiolite.stages.compression_codecs import ANYWHERE, CODECS, NOWHERE, SECOND_STAGES, SERVED, Pipeline, pipelines

SHAPE = (9, 7, 5)


def voxels(kind: str, data_type: str, channels: int = 1) -> NDArray[Any]:
    rng = np.random.default_rng(3)
    if kind == "segmentation":
        x, y, z = np.indices(SHAPE)
        labels = (x // 4 + 3 * (y // 3) + 9 * (z // 2)).astype(data_type)
        return np.asfortranarray(labels[..., np.newaxis])
    return np.asfortranarray(rng.integers(0, 200, (*SHAPE, channels)).astype(data_type))


PAIRS = [
    (kind, data_type, pipeline)
    for kind, data_type in (("image", "uint8"), ("image", "uint16"), ("segmentation", "uint64"))
    for pipeline in pipelines(kind, data_type, 1)
]


@pytest.mark.parametrize(("kind", "data_type", "pipeline"), PAIRS, ids=lambda p: getattr(p, "codec", p))
def test_a_pair_gives_back_what_it_got(kind: str, data_type: str, pipeline: Pipeline) -> None:
    chunk = voxels(kind, data_type)
    data = pipeline.encode(chunk)
    back = pipeline.decode(data, SHAPE, 1, data_type)
    assert back.shape == chunk.shape
    assert back.dtype == chunk.dtype
    assert np.array_equal(back, chunk) != pipeline.lossy
    assert pipeline.encode(chunk) == data


def test_what_is_compared_is_what_the_format_holds() -> None:
    def names(kind: str, data_type: str, channels: int = 1) -> list[str]:
        return list(dict.fromkeys(p.codec for p in pipelines(kind, data_type, channels)))

    assert names("image", "uint8") == ["raw", "jpeg 85", "png 9", "png 1", "jxl 85", "jxl lossless"]
    assert names("image", "uint8", 3) == names("image", "uint8")
    assert names("image", "uint16") == ["raw", "png 9", "png 1"]
    assert names("image", "float32") == ["raw"]
    assert names("segmentation", "uint64") == ["raw", "compressed_segmentation", "compresso", "crackle"]
    assert SECOND_STAGES[0].name == "none"
    assert len(pipelines("image", "float32", 1)) == len(SECOND_STAGES) == 7


@pytest.mark.parametrize("second", SECOND_STAGES[1:], ids=lambda s: s.name)
def test_damage_to_a_second_stage_is_an_error_of_the_format(second: Any) -> None:
    data = second.encode(bytes(range(256)) * 40)
    with pytest.raises(FormatError):
        second.decode(data[: len(data) // 2])
    with pytest.raises(FormatError):
        second.decode(b"something else altogether")


def test_the_table_of_readers_is_that_of_the_encodings() -> None:
    for encoding in {e.name: e for kind in CODECS.values() for e in kind}.values():
        for data_type, channels in product(DATA_TYPES, (1, 3)):
            if data_type not in ENCODINGS[encoding.name]:
                continue
            unable = unreadable_by(encoding, data_type, channels)
            for second in SECOND_STAGES:
                said = Pipeline(encoding, second).readable_by(data_type, channels)
                assert sorted(said) == sorted(READERS)
                assert [reader for reader, how in said.items() if how == NOWHERE] == unable
                in_shards = {how == ANYWHERE for reader, how in said.items() if reader not in unable}
                assert in_shards <= {second.http in ("", "gzip")}


CHUNK = voxels("image", "uint8")
INFO = {
    "@type": "neuroglancer_multiscale_volume", "type": "image", "data_type": "uint8", "num_channels": 1,
    "scales": [{"key": "1", "size": SHAPE, "resolution": [1, 1, 1], "voxel_offset": [0, 0, 0], "chunk_sizes": [SHAPE],
                "encoding": "raw"}],
}  # fmt: skip
CHUNK_NAME = "1/0-9_0-7_0-5"


class _Server(http.server.BaseHTTPRequestHandler):
    """Serves `/<number of second stage>/...` with its Content-Encoding."""

    def do_GET(self) -> None:
        number, _, path = self.path.strip("/").partition("/")
        second = SECOND_STAGES[int(number)]
        raw = Pipeline(ChunkEncoding("raw", gzip=False), second)
        bodies = {"info": json.dumps(INFO).encode(), CHUNK_NAME: raw.encode(CHUNK)}
        if path not in bodies:
            self.send_error(404)
            return
        self.send_response(200)
        if path == CHUNK_NAME and second.http:
            self.send_header("Content-Encoding", second.http)
        self.send_header("Content-Length", str(len(bodies[path])))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(bodies[path])

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


@pytest.mark.parametrize("number", range(len(SECOND_STAGES)), ids=lambda n: SECOND_STAGES[n].name)
def test_tensorstore_and_cloudvolume_take_served_files(server: str, number: int) -> None:
    import tensorstore as ts
    from cloudvolume import CloudVolume

    said = Pipeline(ChunkEncoding("raw", gzip=False), SECOND_STAGES[number]).readable_by("uint8", 1)
    assert {said["tensorstore"], said["cloudvolume"]} <= {ANYWHERE, SERVED}
    kvstore = f"{server}/{number}/"
    opened = ts.open({"driver": "neuroglancer_precomputed", "kvstore": kvstore}).result()
    assert np.array_equal(opened.read().result(), CHUNK)
    volume = CloudVolume(f"precomputed://{server}/{number}", progress=False, cache=False)
    assert np.array_equal(np.asarray(volume[:, :, :]), CHUNK)


@pytest.mark.parametrize(("second", "ending"), [(2, ".gz"), (5, ".br"), (6, ".zstd")])
def test_on_a_disk_only_cloudvolume_takes_second_stages(tmp_path: Path, second: int, ending: str) -> None:
    import tensorstore as ts
    from cloudvolume import CloudVolume

    (tmp_path / "1").mkdir()
    (tmp_path / "info").write_text(json.dumps(INFO))
    (tmp_path / f"{CHUNK_NAME}{ending}").write_bytes(
        Pipeline(ChunkEncoding("raw", gzip=False), SECOND_STAGES[second]).encode(CHUNK)
    )
    volume = CloudVolume(f"precomputed://file://{tmp_path}", progress=False)
    assert np.array_equal(np.asarray(volume[:, :, :]), CHUNK)
    opened = ts.open({"driver": "neuroglancer_precomputed", "kvstore": f"file://{tmp_path}/"}).result()
    assert not opened.read().result().any()
