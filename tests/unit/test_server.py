"""The results server: byte ranges, no way out of the folder, nothing for strangers, the client beside the data."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlencode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_client import ask

from ophiolite.commands import view
from ophiolite.errors import ConfigError, LayerError
from ophiolite.kernels.label_stats import label_stats
from ophiolite.layers.statistics import stats_bytes
from ophiolite.report.server import CLIENT_PAGE, ByteRange, ObjectName, ResultsServer, parse_object, parse_range

SHARD = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("served")
    folder = tmp_path / "results"
    layer = folder / "d/layers/em"
    layer.mkdir(parents=True)
    (layer / "0.shard").write_bytes(SHARD)
    (layer / "info").write_text("{}")
    (layer / "empty").write_bytes(b"")
    (tmp_path / "secret").write_text("secret")
    (folder / "way_out").symlink_to(tmp_path / "secret")
    (folder / "folder_out").symlink_to(tmp_path)
    (folder / "way_in").symlink_to(layer / "0.shard")
    return folder


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[ResultsServer]:
    def object_link(base: str, name: ObjectName) -> str | None:
        return f"{base}/{name.dataset}.{name.layer}.{name.label}" if name.label != 404 else None

    def dataset_link(base: str, name: str) -> str | None:
        return f"{base}{CLIENT_PAGE}#!{name}" if name == "slide_1" else None

    with ResultsServer(root, lambda base: f"{base}{CLIENT_PAGE}#!{{}}", object_link, dataset_link) as running:
        yield running


def test_a_file_comes_whole(server: ResultsServer) -> None:
    answer = ask(server, "/d/layers/em/0.shard")
    assert (answer.status, answer.body) == (200, SHARD)
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("header", "expected", "content_range"),
    [
        ("bytes=10-19", SHARD[10:20], "bytes 10-19/10240"),
        ("bytes=0-0", SHARD[:1], "bytes 0-0/10240"),
        ("bytes=10230-99999", SHARD[10230:], "bytes 10230-10239/10240"),
        ("bytes=10239-", SHARD[-1:], "bytes 10239-10239/10240"),
        ("bytes=-16", SHARD[-16:], "bytes 10224-10239/10240"),
        ("bytes=-99999", SHARD, "bytes 0-10239/10240"),
    ],
)
def test_a_range_comes_alone(server: ResultsServer, header: str, expected: bytes, content_range: str) -> None:
    answer = ask(server, "/d/layers/em/0.shard", Range=header)
    assert answer.status == 206
    assert answer.body == expected
    assert answer.headers["content-range"] == content_range
    assert answer.headers["content-length"] == str(len(expected))


@pytest.mark.parametrize("header", ["bytes=10240-", "bytes=20000-20010", "bytes=-0"])
def test_a_range_outside_is_refused(server: ResultsServer, header: str) -> None:
    answer = ask(server, "/d/layers/em/0.shard", Range=header)
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["content-range"] == "bytes */10240"


@pytest.mark.parametrize("header", ["bytes=0-1,4-5", "bytes=5-4", "bytes=-", "rows=0-1", "bytes=a-b"])
def test_a_range_of_another_form_is_ignored(server: ResultsServer, header: str) -> None:
    answer = ask(server, "/d/layers/em/0.shard", Range=header)
    assert (answer.status, answer.body) == (200, SHARD)


def test_an_empty_file_has_no_ranges(server: ResultsServer) -> None:
    assert ask(server, "/d/layers/em/empty").status == 200
    assert ask(server, "/d/layers/em/empty", Range="bytes=0-0").status == 416


@given(size=st.integers(0, 40), first=st.integers(0, 50), last=st.integers(0, 50), shape=st.sampled_from("fls"))
def test_ranges_follow_slices(size: int, first: int, last: int, shape: str) -> None:
    """Against Python's own slices."""
    data = bytes(range(size))
    header, wanted = {
        "f": (f"bytes={first}-", data[first:]),
        "l": (f"bytes={first}-{last}", data[first : last + 1]),
        "s": (f"bytes=-{last}", data[size - min(last, size) :]),
    }[shape]
    try:
        part = parse_range(header, size)
    except ValueError:
        assert wanted == b""
        return
    if part is None:
        assert last < first
    else:
        assert data[part.start : part.stop] == wanted != b""


def test_no_header_is_no_range() -> None:
    assert parse_range(None, 10) is None
    assert parse_range("bytes=2-3", 10) == ByteRange(2, 4)


def test_head_says_what_get_would_send(server: ResultsServer) -> None:
    answer = ask(server, "/d/layers/em/0.shard", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == "10240"
    assert ask(server, "/d/layers/em/0.shard", "HEAD", Range="bytes=0-4").headers["content-length"] == "5"
    assert ask(server, "/nothing", "HEAD").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../secret",
        "/d/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/d/layers/em/..%2f..%2f..%2f..%2fsecret",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/way_out",
        "/folder_out/secret",
        "/..\\secret",
        "/d/layers/em/0.shard%00",
        "/neuroglancer/v/results/../../../d/layers/em/info",
        "/neuroglancer/v/results/..%2f__init__.py",
    ],
)
def test_nothing_outside_the_folder(server: ResultsServer, path: str) -> None:
    answer = ask(server, path)
    assert answer.status == 404
    assert b"secret" not in answer.body


def test_a_link_within_the_folder_is_followed(server: ResultsServer) -> None:
    assert ask(server, "/way_in").body == SHARD


@pytest.mark.parametrize("path", ["/d", "/d/", "/d/layers/em/", "/nothing", "/d/layers/em/info/x"])
def test_no_listing_and_no_such_file(server: ResultsServer, path: str) -> None:
    answer = ask(server, path)
    assert answer.status == 404
    assert b"0.shard" not in answer.body


def test_other_methods_are_refused(server: ResultsServer, root: Path) -> None:
    assert ask(server, "/d/layers/em/info", "PUT").status == 501
    assert ask(server, "/d/layers/em/info", "DELETE").status == 501
    assert (root / "d/layers/em/info").read_text() == "{}"


def test_a_remade_file_is_seen(server: ResultsServer, root: Path) -> None:
    file = root / "d/layers/remade/info"
    file.parent.mkdir()
    file.write_text("{}")
    first = ask(server, "/d/layers/remade/info")
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["content-type"] == "application/json"
    assert ask(server, "/d/layers/remade/info", If_None_Match=first.headers["etag"]).status == 304
    file.write_text('{"a": 1}')
    again = ask(server, "/d/layers/remade/info", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (200, b'{"a": 1}')


def test_the_client_is_beside_the_data(server: ResultsServer) -> None:
    for path in ("/neuroglancer", "/neuroglancer/"):
        answer = ask(server, path)
        assert (answer.status, answer.headers["location"]) == (302, CLIENT_PAGE)
    page = ask(server, CLIENT_PAGE)
    assert page.status == 200
    scripts = [part.split('"')[0] for part in page.body.decode().split('src="')[1:]]
    assert scripts
    for script in scripts:
        answer = ask(server, CLIENT_PAGE + script)
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-type"].startswith("text/javascript")


def test_the_root_leads_to_the_viewer_by_the_name_the_browser_used(server: ResultsServer, root: Path) -> None:
    answer = ask(server, "/", Host="localhost:8000")
    assert answer.status == 302
    assert answer.headers["location"] == f"http://localhost:8000{CLIENT_PAGE}#!{{}}"
    forged = ask(server, "/", Host="a/../@localhost")
    assert forged.headers.get("location", server.url).startswith(server.url)
    with ResultsServer(root, lambda base: base, bind="0.0.0.0") as shown:
        address = f"127.0.0.1:{shown.url.rsplit(':', 1)[1]}"
        connection = http.client.HTTPConnection(address, timeout=5)
        connection.request("GET", "/", headers={"Host": "microscope.local:8000"})
        assert connection.getresponse().getheader("Location") == "http://microscope.local:8000"
        connection.close()


def test_an_object_leads_to_the_viewer(server: ResultsServer) -> None:
    answer = ask(server, f"/object?dataset=d&layer=cells_2&label={2**64 - 1}", Host="localhost:8000")
    assert answer.status == 302
    assert answer.headers["location"] == f"http://localhost:8000/d.cells_2.{2**64 - 1}"
    missing = ask(server, "/object?dataset=d&layer=cells&label=404")
    assert (missing.status, missing.body) == (404, b"404 no such object in the results\n")


def test_a_dataset_leads_to_the_viewer(server: ResultsServer) -> None:
    answer = ask(server, "/dataset?name=slide_1", Host="localhost:8000")
    assert (answer.status, answer.headers["location"]) == (302, f"http://localhost:8000{CLIENT_PAGE}#!slide_1")
    assert ask(server, "/dataset?name=slide_2").status == 404
    for query in ("", "name=", "name=a&name=b", "name=../x", "dataset=slide_1", "&".join(["x=1"] * 9)):
        assert ask(server, f"/dataset?{query}").status == 400


@pytest.mark.parametrize(
    "query",
    [
        "",
        "dataset=d&layer=cells",
        "dataset=d&layer=cells&label=",
        "dataset=d&layer=cells&label=-1",
        "dataset=d&layer=cells&label=%D9%A3",
        f"dataset=d&layer=cells&label={2**64}",
        "dataset=..&layer=cells&label=1",
        "dataset=d&layer=a%2Fb&label=1",
        "dataset=d&layer=cells&label=1&label=2",
        "&".join(f"x{n}=1" for n in range(20)),
    ],
)
def test_what_names_no_object_is_a_bad_request(server: ResultsServer, query: str) -> None:
    assert ask(server, f"/object?{query}").status == 400


@given(dataset=st.from_regex(r"[a-z0-9_]{1,8}", fullmatch=True), label=st.integers(0, 2**64 - 1))
def test_objects_survive_the_trip(dataset: str, label: int) -> None:
    query = urlencode({"dataset": dataset, "layer": "cells", "label": label})
    assert parse_object(query) == ObjectName(dataset, "cells", label)


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_loopback_only_unless_told_otherwise(server: ResultsServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no IPv6 loopback address")
def test_ipv6(root: Path) -> None:
    with ResultsServer(root, str, bind="::1") as other:
        assert other.url.startswith("http://[::1]:")
        assert ask(other, "/d/layers/em/info").body == b"{}"


def test_a_port_in_use_is_an_error_with_a_way_out(server: ResultsServer, root: Path) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(ConfigError, match=rf"port {port}.*in use.*--port"):
        ResultsServer(root, str, port=port)
    with pytest.raises(ConfigError, match="--port"):
        ResultsServer(root, str, port=70000)
    with pytest.raises(ConfigError, match="--bind"):
        ResultsServer(root, str, bind="192.0.2.1")


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    view.add_arguments(parser)
    return parser.parse_args(words)


def test_view_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        view.run(arguments("--results", str(tmp_path / "nothing")))
    (tmp_path / "fib25/t2/layers").mkdir(parents=True)
    with pytest.raises(LayerError, match=r"no finished layers.*projects fib25"):
        view.run(arguments("--results", str(tmp_path)))


def test_view_prints_one_link_and_ends_at_ctrl_c(tmp_path: Path, repository: Path) -> None:
    layer = tmp_path / "d/layers/cells"
    layer.mkdir(parents=True)
    scale = {"resolution": [8, 8, 8], "size": [4, 4, 4], "voxel_offset": [0, 0, 0]}
    (layer / "info").write_text(json.dumps({"type": "segmentation", "num_channels": 1, "scales": [scale]}))
    statistics = tmp_path / "d/work/cells/label_stats/0.npy"
    statistics.parent.mkdir(parents=True)
    voxels = np.full((2, 2, 1), 7, np.uint64)
    statistics.write_bytes(stats_bytes(label_stats(voxels, (1, 2, 3))))
    code = (
        "import argparse, sys; from ophiolite.commands import view; p = argparse.ArgumentParser();"
        " view.add_arguments(p); view.run(p.parse_args(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--results", str(tmp_path), "--no-browser"],
        env={**os.environ, "PYTHONPATH": str(repository / "scripts")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    link = process.stdout.readline().strip()
    host, port = link.removeprefix("http://").rstrip("/").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    connection.request("GET", "/")
    assert "d/layers/cells" in (connection.getresponse().getheader("Location") or "")
    connection.close()
    connection.request("GET", "/object?dataset=d&layer=cells&label=7")
    state = json.loads(unquote((connection.getresponse().getheader("Location") or "").partition("#!")[2]))
    assert state["layers"][0]["segments"] == ["7"]
    assert state["position"] == [2, 3, 3.5]
    connection.close()
    connection.request("GET", "/object?dataset=d&layer=cells&label=8")
    assert connection.getresponse().status == 404
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    assert rest == ""
    assert "Traceback" not in errors
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port)), timeout=2):
        pass
