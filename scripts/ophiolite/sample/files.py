"""Write a phantom: the volumes in the CREMI layout, the truth as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import StoreError, explain
from ophiolite.sample.truth import Branch, ObjectTruth, Phantom, Synapse

CHUNK_VX = (64, 64, 16)
TRUTH_VERSION = 1


def truth_path(path: Path) -> Path:
    """Where the truth of a sample lies: `<name>.truth.json` beside `<name>.h5`."""
    return path.with_name(f"{path.stem}.truth.json")


def write_cremi(phantom: Phantom, path: Path) -> None:
    """Write the volumes and synapses as one HDF5 file in the CREMI layout (z, y, x), atomically.

    Locations are (z, y, x) nm relative to the `offset` of `/annotations` (https://cremi.org/data). The same phantom
    gives the same bytes. Raises StoreError where the file cannot be written.
    """
    import h5py

    zyx = slice(None, None, -1)
    resolution = np.array(phantom.resolution_nm, np.float64)[zyx]
    offset = np.array(phantom.voxel_offset_vx, np.float64)[zyx] * resolution
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["file_format"] = "0.2"
        for name, volume in (("volumes/raw", phantom.raw), ("volumes/labels/neuron_ids", phantom.labels)):
            chunk = tuple(min(c, n) for c, n in zip(CHUNK_VX, volume.shape, strict=True))[zyx]
            data = file.create_dataset(
                name,
                data=volume.T,
                chunks=chunk,
                compression="gzip",
                compression_opts=4,
                shuffle=volume.itemsize == 1,
            )
            data.attrs["resolution"] = resolution
            data.attrs["offset"] = offset
        group = file.create_group("annotations")
        group.attrs["offset"] = offset
        ids, types, locations = sites(phantom.synapses)
        text = h5py.string_dtype()
        group.create_dataset("ids", data=ids)
        group.create_dataset("types", data=types, dtype=text)
        group.create_dataset("locations", data=locations[:, zyx] - offset)
        pairs = np.array([(s.pre_id, s.post_id) for s in phantom.synapses], np.uint64).reshape(-1, 2)
        group.create_dataset("presynaptic_site/partners", data=pairs)
        twice = sorted({s.pre_id for s in phantom.synapses if sum(o.pre_id == s.pre_id for o in phantom.synapses) > 1})
        group.create_dataset("comments/target_ids", data=np.array(twice, np.uint64))
        group.create_dataset("comments/comments", data=["several partners"] * len(twice), dtype=text)


def sites(synapses: Sequence[Synapse]) -> tuple[NDArray[np.uint64], list[str], NDArray[np.float64]]:
    """Every site once, sorted by id: ids (n,), types, physical locations (n, 3) in x, y, z."""
    found = {s.pre_id: ("presynaptic_site", s.pre_nm) for s in synapses}
    found |= {s.post_id: ("postsynaptic_site", s.post_nm) for s in synapses}
    order = sorted(found)
    locations = np.array([found[i][1] for i in order], np.float64).reshape(-1, 3)
    return np.array(order, np.uint64), [found[i][0] for i in order], locations


def write_truth(phantom: Phantom, path: Path) -> None:
    """Write what is known about a phantom as JSON (docs/sample.md), atomically; raises StoreError where it cannot."""
    lines = [json.dumps(describe(o), separators=(", ", ": ")) for o in phantom.objects]
    synapses = [
        {
            "pre_id": str(s.pre_id),
            "post_id": str(s.post_id),
            "pre_nm": s.pre_nm,
            "post_nm": s.post_nm,
            "pre_label": str(s.pre_label),
            "post_label": str(s.post_label),
        }
        for s in phantom.synapses
    ]
    head = {
        "version": TRUTH_VERSION,
        "seed": phantom.seed,
        "resolution_nm": phantom.resolution_nm,
        "voxel_offset_vx": phantom.voxel_offset_vx,
        "size_vx": phantom.box.shape,
        "background_voxels": phantom.box.volume - sum(o.voxels for o in phantom.objects),
    }
    # One object or synapse per line, so that the file can be read and compared by eye.
    text = "".join(f"{json.dumps(k)}: {json.dumps(v)},\n" for k, v in head.items())
    text += '"objects": [\n' + ",\n".join(lines) + '\n],\n"synapses": [\n'
    text += ",\n".join(json.dumps(s) for s in synapses) + "\n]"
    with replacing(path) as temporary:
        temporary.write_text("{\n" + text + "\n}\n", encoding="utf-8")


def describe(item: ObjectTruth) -> dict[str, object]:
    """One object as JSON values; drawn geometry only where there is any."""
    out: dict[str, object] = {
        "label": str(item.label),
        "kind": item.kind,
        "voxels": item.voxels,
        "volume_nm3": item.volume_nm3,
        "box_vx": [item.box.start, item.box.stop],
        "components_6": item.components_6,
        "components_26": item.components_26,
        "faces": item.faces,
    }
    if item.branches:
        out["branches"] = [branch(b) for b in item.branches]
        out["junctions_nm"] = item.junctions_nm.round(2).tolist()
        out["tips_nm"] = item.tips_nm.round(2).tolist()
    return out


def branch(line: Branch) -> dict[str, object]:
    """One centreline as JSON values, to a hundredth of a nanometre."""
    return {"points_nm": line.points_nm.round(2).tolist(), "radius_nm": line.radius_nm.round(2).tolist()}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what is written there takes its name at the end, or vanishes on any error."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        do = "Choose a folder that can be written to and has room"
        raise StoreError(explain(str(path), f"cannot be written ({reason})", do=do)) from error
