"""Pinned downloads: what is there, else the mirror, else the address; never a file with another sum."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from snakemake.exceptions import WorkflowError

from ophiolite.__main__ import main
from ophiolite.config.load import parse_config
from ophiolite.errors import ConfigError, SourceError
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import Refused, VolumePlan
from ophiolite.sources.fetch import Pinned, fetch, mirror_folder, receipt_bytes, receipt_path, require_fetched
from smk_functions import smk_function

CONTENT = b"a pinned volume" * 1000
SUM = hashlib.sha256(CONTENT).hexdigest()
GONE = Pinned("http://127.0.0.1:9/v.h5", SUM)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "v.h5").write_bytes(CONTENT)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "public"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/v.h5"
        http.shutdown()
        thread.join()


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "v.h5").write_bytes(CONTENT)
    return tmp_path / "mirror"


def test_downloads_once_and_keeps_the_file(tmp_path: Path, server: str) -> None:
    file = fetch("v.h5", Pinned(server, SUM), None, tmp_path / "data")
    assert (file, file.read_bytes()) == (tmp_path / "data" / "v.h5", CONTENT)
    assert fetch("v.h5", GONE, None, tmp_path / "data") == file


def test_the_mirror_comes_before_the_address_and_is_not_copied(tmp_path: Path, mirror: Path) -> None:
    file = fetch("v.h5", GONE, mirror, tmp_path / "data")
    assert file == tmp_path / "data" / "v.h5"
    assert file.resolve() == mirror / "v.h5"
    assert fetch("v.h5", GONE, None, tmp_path / "data") == file


def test_a_file_that_is_there_is_not_replaced_by_a_link(tmp_path: Path, mirror: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "v.h5").write_bytes(CONTENT)
    assert not fetch("v.h5", GONE, mirror, tmp_path / "data").is_symlink()


def test_a_link_to_a_mirror_that_is_gone_is_replaced(tmp_path: Path, mirror: Path) -> None:
    fetch("v.h5", GONE, mirror, tmp_path / "data")
    moved = mirror.rename(tmp_path / "moved")
    assert fetch("v.h5", GONE, moved, tmp_path / "data").resolve() == moved / "v.h5"


def test_another_file_in_the_mirror_is_refused(tmp_path: Path, mirror: Path) -> None:
    (mirror / "v.h5").write_bytes(CONTENT[:-1])
    with pytest.raises(SourceError, match=r"mirror/v\.h5: this is not the pinned file.*Expected SHA-256"):
        fetch("v.h5", GONE, mirror, tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_file_that_is_not_in_the_mirror_is_downloaded(tmp_path: Path, server: str) -> None:
    (tmp_path / "mirror").mkdir()
    file = fetch("v.h5", Pinned(server, SUM), tmp_path / "mirror", tmp_path / "data")
    assert file.read_bytes() == CONTENT


def test_a_file_without_an_address_must_be_in_the_mirror(tmp_path: Path, mirror: Path) -> None:
    private = Pinned(None, SUM)
    assert fetch("v.h5", private, mirror, tmp_path / "data").read_bytes() == CONTENT
    with pytest.raises(SourceError, match=r"w\.h5: it has no public address.*mirror/w\.h5.*OPHIOLITE_MIRROR"):
        fetch("w.h5", private, mirror, tmp_path / "data")
    with pytest.raises(SourceError, match=r"Expected a mirror folder that holds w\.h5"):
        fetch("w.h5", private, None, tmp_path / "data")


def test_the_variable_names_the_mirror_and_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPHIOLITE_MIRROR", raising=False)
    assert (mirror_folder(None), mirror_folder("a")) == (None, Path("a"))
    monkeypatch.setenv("OPHIOLITE_MIRROR", "b")
    assert (mirror_folder(None), mirror_folder("a")) == (Path("b"), Path("b"))


def test_a_changed_publication_leaves_nothing_behind(tmp_path: Path, server: str) -> None:
    with pytest.raises(SourceError, match="not the pinned file"):
        fetch("v.h5", Pinned(server, "0" * 64), None, tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_changed_file_is_refused(tmp_path: Path, server: str) -> None:
    fetch("v.h5", Pinned(server, SUM), None, tmp_path / "data").write_bytes(b"cut")
    with pytest.raises(SourceError, match="Delete it, and it is fetched again"):
        fetch("v.h5", Pinned(server, SUM), None, tmp_path / "data")


def test_an_address_that_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot be downloaded.*OPHIOLITE_MIRROR"):
        fetch("v.h5", GONE, None, tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def run_fetch(folder: Path, *more: str) -> int:
    return main(["fetch", "--name", "v.h5", "--sha256", SUM, "--folder", str(folder), *more])


def test_the_command_fails_by_hand_and_counts_failures_in_the_workflow(
    tmp_path: Path, mirror: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPHIOLITE_MIRROR", raising=False)
    data = tmp_path / "data"
    assert run_fetch(data) == 1
    assert "OPHIOLITE_MIRROR" in capsys.readouterr().err
    assert list(data.iterdir()) == []
    assert run_fetch(data, "--failures", "2") == 0
    assert "OPHIOLITE_MIRROR" in capsys.readouterr().err
    assert '"failures": 3' in receipt_path("v.h5", data).read_text()
    with pytest.raises(SourceError, match=r"v\.h5: it has no public address"):
        require_fetched("v.h5", data)
    assert run_fetch(data, "--failures", "3", "--mirror", str(mirror)) == 0
    assert receipt_path("v.h5", data).read_bytes() == receipt_bytes("v.h5", SUM, None, 3)
    require_fetched("v.h5", data)


def test_what_was_never_fetched_and_a_damaged_receipt_are_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"v\.h5: has not been fetched"):
        require_fetched("v.h5", tmp_path)
    (tmp_path / "v.h5").write_bytes(CONTENT)
    require_fetched("v.h5", tmp_path)
    receipt_path("v.h5", tmp_path).write_text("{")
    with pytest.raises(SourceError, match=r"is no receipt of a download.*Delete it"):
        require_fetched("v.h5", tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "7"])
def test_the_workflow_names_a_damaged_receipt_too(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failures = smk_function("fetch_failures", Path=Path, json=json, WorkflowError=WorkflowError)
    download = SimpleNamespace(download="v.h5")
    assert failures(download) == 0
    receipt_path("v.h5", Path("data")).parent.mkdir()
    receipt_path("v.h5", Path("data")).write_bytes(receipt_bytes("v.h5", SUM, "no such address", 3))
    assert failures(download) == 3
    receipt_path("v.h5", Path("data")).write_text(text)
    with pytest.raises(
        WorkflowError, match=r"data/v\.h5\.fetched\.json is no receipt of a download .*: delete it and run"
    ):
        failures(download)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff"])
def test_the_workflow_names_a_damaged_plan(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "plan.json"
    read = smk_function("read_plan", json=json, PLAN_FILE=str(file), UNREADABLE="", WorkflowError=WorkflowError)
    file.write_text("[7]")
    assert read(1) == [7]
    file.write_bytes(text)
    with pytest.raises(WorkflowError, match=r"plan\.json is no plan .*: remove it, then `snakemake plan`"):
        read(2)


def layer_of(file: str) -> dict[str, object]:
    return {"downloads": {file: {"sha256": SUM}}, "layers": {"v": {"type": "image", "source": f"{file}:/v"}}}


def test_a_failed_download_refuses_its_own_layers_only(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with h5py.File(tmp_path / "data" / "good.h5", "w") as file:
        file["v"] = np.zeros((4, 4, 4), np.uint8)
        file["v"].attrs["resolution"] = (1.0, 1.0, 1.0)
    receipt_path("bad.h5", tmp_path / "data").write_bytes(receipt_bytes("bad.h5", SUM, "no such address", 1))
    config = parse_config({"project": "p", "datasets": {"a": layer_of("good.h5"), "b": layer_of("bad.h5")}}, "test")
    plan = make_plan(config, tmp_path, Speeds())
    good, bad = plan.datasets["a"].layers["v"], plan.datasets["b"].layers["v"]
    assert isinstance(good, VolumePlan)
    assert good.source.text == "data/good.h5:/v"
    assert isinstance(bad, Refused)
    assert bad.error == "datasets.b.layers.v: no such address"


def test_one_name_is_one_file_in_all_datasets() -> None:
    other = layer_of("v.h5") | {"downloads": {"v.h5": {"sha256": "0" * 64}}}
    with pytest.raises(ConfigError, match=r"dataset 'b': download 'v\.h5' is another file in another dataset"):
        parse_config({"project": "p", "datasets": {"a": layer_of("v.h5"), "b": other}}, "test")
