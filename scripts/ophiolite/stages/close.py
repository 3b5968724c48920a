"""Closing a folder: what receipts name is there, and what they do not name goes. Its files may be tens of millions."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Store, Written
from ophiolite.stages.job import Job

# Files of a listing that are looked up together.
BATCH = 100_000
NAMED = np.dtype([("name", "<u8"), ("size", "<u8")])


def close_folder(job: Job, folder: str, receipts: Sequence[str], keep: tuple[str, ...] = ()) -> tuple[int, str]:
    """Remove files below `folder` that no receipt names; returns how many are named, and a digest of all receipts.

    Raises StoreError where a file that a receipt names is missing or has another size.
    `keep` names files and folders (relative to `folder`) that others own.
    Names are held by a hash of 64 bits: among 10^8 files a stale one stays by mistake with a chance of 10^-11.
    """
    named, elsewhere, digest = _named(job.store, folder, receipts)
    own = tuple(f"{folder}/{k}" for k in keep)
    seen = np.zeros(len(named), dtype=np.bool_)
    for batch in _batches(job.store.walk(folder)):
        rows, known = _rows(named["name"], [path for path, _ in batch])
        same = (
            known & (named["size"][rows] == np.array([size for _, size in batch], np.uint64)) if len(named) else known
        )
        seen[rows[same]] = True
        for (path, _), is_named in zip(batch, known.tolist(), strict=True):
            if not is_named and not path.startswith(own):
                job.store.delete(path)
                job.say(f"removed {path}, which no receipt names")
    _check_by_name(job.store, elsewhere)
    if not seen.all():
        _check_unseen(job.store, folder, receipts, named["name"][~seen])
    job.store.sweep(folder, own)
    job.store.remove_empty(folder)
    return len(named), digest


def _named(store: Store, folder: str, receipts: Iterable[str]) -> tuple[NDArray[np.void], list[Written], str]:
    """Of all files that receipts name: those below a folder as NAMED rows by name, those elsewhere; and a digest."""
    tables, elsewhere, digest = [np.empty(0, NAMED)], [], hashlib.sha256()
    for path in receipts:
        receipt = read_receipt(store, path)
        digest.update(receipt.to_bytes())
        inside = [file for file in receipt.files if file.path.startswith(f"{folder}/")]
        elsewhere += [file for file in receipt.files if not file.path.startswith(f"{folder}/")]
        table = np.empty(len(inside), NAMED)
        table["name"], table["size"] = _hashes([f.path for f in inside]), [f.size_bytes for f in inside]
        tables.append(table)
    named = np.concatenate(tables)
    named.sort(order="name")
    return named, elsewhere, digest.hexdigest()


def _hashes(paths: Iterable[str]) -> NDArray[np.uint64]:
    """64 bits for every path."""
    return np.frombuffer(b"".join(hashlib.blake2b(p.encode(), digest_size=8).digest() for p in paths), "<u8")


def _rows(names: NDArray[np.uint64], paths: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """For every path the row of its hash among `names`, ascending, and whether it is there."""
    hashes = _hashes(paths)
    if not len(names):
        return np.zeros(len(hashes), np.intp), np.zeros(len(hashes), np.bool_)
    rows = np.minimum(np.searchsorted(names, hashes), len(names) - 1)
    return rows, names[rows] == hashes


def _batches(listed: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    batch = []
    for entry in listed:
        batch.append(entry)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _check_unseen(store: Store, folder: str, receipts: Iterable[str], unseen: NDArray[np.uint64]) -> None:
    """Raise StoreError unless what no listing showed is there: listings may be stale, so it is asked for by name."""
    for path in receipts:
        inside = [file for file in read_receipt(store, path).files if file.path.startswith(f"{folder}/")]
        _, missed = _rows(unseen, [file.path for file in inside])
        for number in np.flatnonzero(missed).tolist():
            store.check(inside[number])


def _check_by_name(store: Store, files: Iterable[Written]) -> None:
    """Raise StoreError unless every file is there with its size; listings spare a request for each."""
    folders: dict[str, list[Written]] = {}
    for file in files:
        folders.setdefault(file.path.rsplit("/", 1)[0], []).append(file)
    for folder, members in folders.items():
        found = dict(store.walk(folder)) if len(members) > 1 else {}
        for file in members:
            if found.get(file.path) != file.size_bytes:
                store.check(file)


def sweep_rules(job: Job, *rules: str) -> None:
    """Remove what jobs of these rules, all of them done now, left: partial files, folders of finished tasks."""
    for rule in rules:
        job.store.sweep(f"{job.paths.work}/{rule}")
        job.store.sweep(f"{job.paths.receipts}/{rule}")
        for tasks in job.store.scratch(f"{job.paths.work}/{rule}").glob("tasks-*"):
            shutil.rmtree(tasks, ignore_errors=True)


def close_product(job: Job, product: str) -> dict[str, object]:
    """Close the folder of a mesh or skeleton product; returns the facts of its receipt."""
    plan, paths = job.product(product), job.paths
    receipts = [
        paths.receipt(f"{product}_index", ""),
        *(paths.receipt(f"{product}_shards", j) for j in plan.job_names()),
    ]
    files, digest = close_folder(job, f"{paths.layer_folder}/{plan.folder}", receipts)
    if product == "skeleton" and "swc" not in plan.options["exports"]:
        job.store.delete_folder(paths.swc_folder)
    sweep_rules(job, *(f"{product}_{rule}" for rule in ("fragments", "objects", "shards", "measures")))
    return {"files": files, "receipts": digest}
