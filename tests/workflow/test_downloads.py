"""Downloads in the workflow: one that fails refuses its own layers, and the next run tries it again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from workspace import run_snakemake


def volume(path: Path) -> str:
    with h5py.File(path, "w") as file:
        file["v"] = np.full((8, 8, 8), 7, np.uint8)
        file["v"].attrs["resolution"] = (1.0, 1.0, 1.0)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def dataset(name: str, checksum: str) -> dict[str, Any]:
    return {"downloads": {name: {"sha256": checksum}}, "layers": {"em": {"type": "image", "source": f"{name}:/v"}}}


def said_by(folder: Path, mirror: Path, *arguments: str) -> str:
    done = run_snakemake(arguments, {"OPHIOLITE_MIRROR": str(mirror)}, folder)
    assert done.code == 0, done.text
    return done.text


def test_a_failed_download_refuses_its_layers_and_is_tried_again(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    sums = {name: volume(mirror / f"{name}.h5") for name in ("good", "late")}
    config = {"project": "p", "datasets": {name: dataset(f"{name}.h5", sums[name]) for name in sums}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    hidden = (mirror / "late.h5").rename(tmp_path / "hidden.h5")
    for _ in range(2):
        said = said_by(tmp_path, mirror, "plan")
        assert "REFUSED datasets.late.layers.em: late.h5: it has no public address" in said
        assert "good/em" in said
    hidden.rename(mirror / "late.h5")
    said = said_by(tmp_path, mirror, "plan")
    assert "REFUSED" not in said
    assert "late/em" in said

    jobs = said_by(tmp_path, mirror, "--dry-run", "plan")
    assert "rule fetch" not in jobs
