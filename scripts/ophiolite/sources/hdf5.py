"""HDF5 volumes: `file.h5:/path/inside`, in the CREMI, plantseg and ilastik manners of stating axes and placement."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import deflate
import h5py
import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry.box import Box, Vec
from ophiolite.sources.axes import Axes, checked_resolution, lengths_in_nm, offset_in_voxels, stored_axes
from ophiolite.sources.cache import ArrayCache
from ophiolite.sources.hdf5_chunks import ChunkReader
from ophiolite.sources.source import CACHE_BYTES, NOTHING_GIVEN, Given, Header, HeaderSource, Nm

_LISTED = 20
_VISITED = 1000


class Hdf5Source(HeaderSource):
    """One dataset of an HDF5 file, stored z, y, x or z, y, x, channel, or as its attribute `axes` or `axistags` says.

    `resolution` (nm, in the order of the stored axes: z, y, x) or `element_size_um` (micrometres) give the voxel size,
    `offset` (nm, same order) the place of the first voxel; it must be a whole number of voxels. `inside` may be empty
    where the file holds a single volume. `given` replaces what the file says.
    Opened without file locks, so any number of processes read at once. SourceError for everything else.
    """

    def __init__(self, path: str, file: Path, inside: str, given: Given = NOTHING_GIVEN) -> None:
        self._file = _open_file(path, file)
        name = _find_dataset(path, self._file, inside)
        where = path if inside else f"{path}:{name}"
        dataset = self._file[name]
        _refuse_unreadable(where, dataset)
        axes = stored_axes(where, dataset.shape, _axis_names(dataset))
        chunk = dataset.chunks
        nm = given.resolution_nm or _resolution(where, dataset, axes)
        cache_bytes = _cache_bytes(dataset) if chunk else 0
        super().__init__(
            Header(
                path=path,
                shape_vx=axes.shape_vx,
                channels=axes.channels,
                dtype=dataset.dtype,
                resolution_nm=nm,
                voxel_offset_vx=given.voxel_offset_vx or _offset(where, dataset, axes, nm),
                alignment_vx=axes.vector(chunk) if chunk else (1, 1, 1),
                files=(str(file),),
                cache_bytes=cache_bytes,
            )
        )
        self._axes = axes
        self._name = name
        # A dataset keeps the cache it was first opened with, so the one used for looking must be closed first.
        del dataset
        self._dataset = _with_chunk_cache(self._file, name, cache_bytes)
        self._chunks = ChunkReader(self._dataset, cache_bytes) if ChunkReader.fits(self._dataset) else None

    def _decode(self, box: Box) -> NDArray[Any]:
        select = tuple(slice(*s.indices(n)) for s, n in zip(self._axes.select(box), self._axes.shape, strict=True))
        try:
            block = self._chunks.read(select) if self._chunks else self._dataset[select]
        except (OSError, RuntimeError, ValueError, deflate.DeflateError) as error:
            raise SourceError(
                explain(
                    f"{self.path} ({self._name})",
                    f"voxels {box.start} to {box.stop} cannot be decoded: {error}",
                    do="The file is damaged; restore it from its original",
                )
            ) from error
        return self._axes.arrange(block)

    def _caches(self) -> tuple[ArrayCache, ...]:
        return (self._chunks.cache,) if self._chunks else ()

    def _more_facts(self) -> tuple[object, ...]:
        return (self._name, self._axes.names)


def _open_file(path: str, file: Path) -> h5py.File:
    try:
        return h5py.File(file, "r", locking=False)
    except OSError as error:
        reason = str(error)
        if "truncated file" in reason:
            problem = f"the HDF5 file is truncated ({reason})"
            do = "Copy or download the file again; its end is missing"
        elif "file signature not found" in reason:
            problem = "this is not an HDF5 file"
            do = "Give an HDF5 file, or name the right `format:` for this layer in the config"
        else:
            problem = f"the HDF5 file cannot be opened ({reason})"
            do = "Check that the file is readable and complete (`h5ls` shows what is in it)"
        raise SourceError(explain(path, problem, do=do)) from error


def _datasets(group: h5py.Group) -> list[str]:
    """Paths of the datasets below a group, of the first `_VISITED` objects; the library's own walk can run for ever."""
    found: list[str] = []
    todo: list[h5py.Group] = [group]
    visited = 0
    while todo and visited < _VISITED:
        for item in todo.pop().values():
            visited += 1
            if isinstance(item, h5py.Dataset):
                found.append(str(item.name))
            elif isinstance(item, h5py.Group):
                todo.append(item)
            if visited == _VISITED:
                break
    return sorted(found)


def _find_dataset(path: str, file: h5py.File, inside: str) -> str:
    if inside:
        try:
            item = file[inside]
        except (KeyError, ValueError):
            item = None
        if isinstance(item, h5py.Dataset):
            return str(item.name)
        problem = f"there is no dataset '{inside}' in the file" if item is None else f"'{inside}' is a group"
        names = _datasets(item if isinstance(item, h5py.Group) and len(item) else file)
    else:
        names = _datasets(file)
        volumes = [name for name in names if len(file[name].shape or ()) in (3, 4)]
        if len(volumes) == 1:
            return volumes[0]
        problem = "the path inside the HDF5 file is missing"
    listing = ", ".join(f"{name} {file[name].shape} {file[name].dtype}" for name in names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    nearest = difflib.get_close_matches("/" + inside.strip("/"), names, n=1, cutoff=0.3) or names[:1]
    raise SourceError(
        explain(
            path,
            problem,
            expected="one of the datasets it holds",
            got=f"{listing}{more}" if names else "a file without datasets",
            do=f"Write e.g. `source: {path.removesuffix(':' + inside)}:{nearest[0]}`" if names else "Give another file",
        )
    )


def _refuse_unreadable(where: str, dataset: h5py.Dataset) -> None:
    if dataset.shape is None or dataset.dtype.kind not in "biufc":
        raise SourceError(
            explain(
                where,
                "the dataset holds no numbers",
                expected="an array of integers or floats",
                got="nothing at all" if dataset.shape is None else f"type {dataset.dtype}",
                do="Point the source at the volume itself",
            )
        )
    plist = dataset.id.get_create_plist()
    for position in range(plist.get_nfilters()):
        code, _, _, name = plist.get_filter(position)
        if not h5py.h5z.filter_avail(code):
            raise SourceError(
                explain(
                    where,
                    f"its chunks need HDF5 filter {code} ({name.decode(errors='replace')}), which is not installed",
                    do="Rewrite the file with a standard filter: h5repack -f GZIP=4 old.h5 new.h5",
                )
            )


def _axis_names(dataset: h5py.Dataset) -> str | None:
    named = dataset.attrs.get("axes")
    if named is not None:
        if isinstance(named, np.ndarray | list | tuple):
            named = "".join(_text(letter) for letter in named)
        return _text(named).replace(",", "").replace(" ", "")
    tags = dataset.attrs.get("axistags")
    if tags is not None:
        try:
            return "".join(str(axis["key"]) for axis in json.loads(_text(tags))["axes"])
        except (ValueError, KeyError, TypeError):
            return None
    return None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _spatial_attribute(where: str, dataset: h5py.Dataset, attribute: str, axes: Axes) -> tuple[float, ...] | None:
    """An attribute with one number per axis, in x, y, z order."""
    stored = dataset.attrs.get(attribute)
    if stored is None:
        return None
    try:
        values = [float(v) for v in np.asarray(stored, dtype=float).ravel()]
    except (TypeError, ValueError):
        values = []
    spatial = [name for name in axes.names if name in "xyz"]
    order: Sequence[str] = axes.names if len(values) == len(axes.names) else spatial if len(spatial) == 3 else "zyx"
    if len(values) != len(order):
        raise SourceError(
            explain(
                where,
                f"attribute `{attribute}` does not fit the array",
                expected="three numbers (z, y, x)",
                got=repr(stored),
                do=f"Correct the attribute `{attribute}` of the dataset",
            )
        )
    by_name = dict(zip(order, values, strict=True))
    return tuple(by_name.get(name, 0.0 if attribute == "offset" else 1.0) for name in "xyz")


def _resolution(where: str, dataset: h5py.Dataset, axes: Axes) -> Nm | None:
    for attribute, factor in (("resolution", 1.0), ("element_size_um", 1e3)):
        values = _spatial_attribute(where, dataset, attribute, axes)
        if values is not None:
            return checked_resolution(where, lengths_in_nm(values, factor))
    return None


def _offset(where: str, dataset: h5py.Dataset, axes: Axes, resolution_nm: Nm | None) -> Vec:
    offset_nm = _spatial_attribute(where, dataset, "offset", axes)
    if offset_nm is None or not any(offset_nm):
        return (0, 0, 0)
    if resolution_nm is None:
        raise SourceError(
            explain(
                where,
                "attribute `offset` is in nanometres, but nothing says how large a voxel is",
                got=f"offset {tuple(offset_nm)} nm (x, y, z)",
                do="Set `resolution_nm: [x, y, z]` (or `voxel_offset_vx`) for this layer in the config",
            )
        )
    return offset_in_voxels(where, offset_nm, resolution_nm, broken="refuse")


def _cache_bytes(dataset: h5py.Dataset) -> int:
    """All chunks where they are small enough, at least one: tasks that cut chunks then decode each about once."""
    chunk_bytes = int(np.prod(dataset.chunks)) * int(dataset.dtype.itemsize)
    grid = [-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)]
    return max(min(int(np.prod(grid)) * chunk_bytes, CACHE_BYTES), chunk_bytes)


def _with_chunk_cache(file: h5py.File, name: str, cache_bytes: int) -> h5py.Dataset:
    if not cache_bytes:
        return file[name]
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    # HDF5 hashes chunks to slots and drops what collides; a million slots cost 8 MB.
    access.set_chunk_cache(2**20 + 1, cache_bytes, 0.75)
    return h5py.Dataset(h5py.h5d.open(file.id, name.encode(), access))
