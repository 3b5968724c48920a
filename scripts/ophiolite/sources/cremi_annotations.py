"""Synaptic partners of a CREMI HDF5 file as a line layer, from the presynaptic to the postsynaptic site.

Layout: cremi.org and its cremi_python, format 0.2: `annotations/ids`, `types`, `locations` (z, y, x nm, to which the
group's attribute `offset` is added) and `presynaptic_site/partners` (pairs of ids).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.precomputed.annotation import AnnotationType, Property
from ophiolite.precomputed.annotation_table import AnnotationTable, Related

if TYPE_CHECKING:
    import h5py

LabelsAt = Callable[[NDArray[np.float64]], NDArray[np.uint64]]


def read_cremi_partners(path: Path, group: str = "annotations", labels_at: LabelsAt | None = None) -> AnnotationTable:
    """The file's partner pairs as lines in x, y, z nm; annotation ids are the pairs' rows, counted from 1.

    Properties: `pre_type` and `post_type` (the file's types as an enumeration), and `pre_id` and `post_id` where all
    are below 2^31. With `labels_at` (points (n, 3) nm -> labels (n,) uint64, 0 background) the relationships
    `pre_segment` and `post_segment`. Sites without a partner are no line and are left out.
    Raises SourceError for a missing or damaged file, group or dataset, and for partners that are no site.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get(group), h5py.Group):
                raise _error(
                    f"{path}:{group}", "there is no such group", got=", ".join(file) or "an empty file", do="Name one"
                )
            sites = file[group]
            ids = _numbers(path, sites, "ids", 1).astype(np.uint64)
            zyx = _numbers(path, sites, "locations", 2).astype(np.float64)
            types = _dataset(path, sites, "types").asstr()[:]
            pairs = _numbers(path, sites, "presynaptic_site/partners", 2).astype(np.uint64)
            offset = np.asarray(sites.attrs.get("offset", (0, 0, 0)), dtype=np.float64)
    except (OSError, RuntimeError, TypeError) as error:
        raise _error(str(path), f"it cannot be read ({error})", do="Check the file; download it again") from None
    where = f"{path}:{group}"
    if zyx.shape != (len(ids), 3) or types.shape != ids.shape or offset.shape != (3,) or pairs.shape[1] != 2:
        raise _error(
            where,
            "its datasets do not belong together",
            expected="n ids, n types, (n, 3) locations, (m, 2) partners, offset of 3",
            got=f"{ids.shape}, {types.shape}, {zyx.shape}, {pairs.shape}, {offset.shape}",
            do="Mend the file",
        )
    xyz = (zyx + offset)[:, ::-1]
    rows = _rows_of(where, ids, pairs)
    ends = xyz[rows]
    if not np.isfinite(ends).all():
        row = int(np.argwhere(~np.isfinite(ends))[0, 0])
        raise _error(where, f"pair {row} has an end nowhere", got=ends[row].tolist(), do="Mend the location")
    names, codes = np.unique(types.astype(str), return_inverse=True)
    if len(names) > 256:
        raise _error(where, "too many types", expected="up to 256", got=len(names), do="Mend `types`")
    kinds = tuple(str(n) for n in names)
    properties: list[Property] = []
    columns: dict[str, NDArray[Any]] = {}
    for column, (side, about) in enumerate((("pre", "presynaptic"), ("post", "postsynaptic"))):
        properties.append(
            Property(f"{side}_type", "uint8", f"type of the {about} site", tuple(range(len(kinds))), kinds)
        )
        columns[f"{side}_type"] = codes[rows[:, column]]
        if pairs.max(initial=0) < 2**31:
            properties.append(Property(f"{side}_id", "int32", f"id of the {about} site in the file"))
            columns[f"{side}_id"] = pairs[:, column]
    relationships = {}
    if labels_at is not None and len(ends):
        relationships = {
            "pre_segment": Related.of_columns(labels_at(ends[:, 0])),
            "post_segment": Related.of_columns(labels_at(ends[:, 1])),
        }
    number = np.arange(1, len(pairs) + 1, dtype=np.uint64)
    return AnnotationTable(AnnotationType.LINE, ends, number, tuple(properties), columns, relationships)


def _error(where: str, problem: str, *, expected: object = None, got: object = None, do: str) -> SourceError:
    return SourceError(explain(where, problem, expected=expected, got=got, do=do))


def _dataset(path: Path, group: h5py.Group, name: str) -> Any:
    import h5py

    if not isinstance(group.get(name), h5py.Dataset):
        found: list[str] = []
        group.visit(found.append)
        raise _error(
            f"{path}:{group.name}/{name}", "there is no such dataset", got=", ".join(found) or "nothing", do="Add it"
        )
    return group[name]


def _numbers(path: Path, group: h5py.Group, name: str, rank: int) -> NDArray[Any]:
    array: NDArray[Any] = np.asarray(_dataset(path, group, name)[()])
    if array.ndim != rank or array.dtype.kind not in "uif":
        raise _error(
            f"{path}:{group.name}/{name}",
            "not the table it should be",
            expected=f"numbers with {rank} axes",
            got=f"{array.dtype} {array.shape}",
            do="Mend the file",
        )
    return array


def _rows_of(where: str, ids: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each wanted id the row of `ids` where it stands."""
    order = np.argsort(ids, kind="stable")
    ranked = ids[order]
    if (ranked[1:] == ranked[:-1]).any():
        twice = int(ranked[1:][ranked[1:] == ranked[:-1]][0])
        raise _error(f"{where}/ids", "an id stands twice", got=twice, do="Give every site an id of its own")
    at = np.searchsorted(ranked, wanted)
    known = ranked[np.minimum(at, len(ranked) - 1)] == wanted if len(ranked) else np.zeros(wanted.shape, bool)
    if not known.all():
        row = int(np.argwhere(~known)[0, 0])
        raise _error(
            f"{where}/presynaptic_site/partners, row {row}",
            "a partner is no site of the file",
            expected="ids that stand in `ids`",
            got=wanted[row].tolist(),
            do="Remove the pair or add the site",
        )
    return np.asarray(order[at], dtype=np.int64)
