"""Closing a folder: what receipts name must be there, all else goes, and names are never held all at once."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ophiolite.errors import StoreError
from ophiolite.layers.receipts import Receipt, read_receipt, write_receipt
from ophiolite.layers.store import Store, Written
from ophiolite.stages import close
from ophiolite.stages.close import close_folder

FOLDER = "d/layers/v"


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(close, "BATCH", 3)


def job_in(store: Store) -> Any:
    said: list[str] = []
    return SimpleNamespace(store=store, say=said.append, said=said)


def receipt(store: Store, number: int, files: list[Written]) -> str:
    path = f"d/receipts/v/rule/{number}.json"
    write_receipt(store, path, Receipt("rule", str(number), "digest", files))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def receipts(store: Store) -> list[str]:
    """Of two jobs, with files in the folder and elsewhere."""
    return [
        receipt(
            store,
            job,
            [store.write(f"{FOLDER}/8_8_8/{job}{i}.shard", bytes(i)) for i in range(5)]
            + [store.write(f"d/work/v/statistics/{job}.npy", b"x")],
        )
        for job in range(2)
    ]


def test_what_no_receipt_names_goes_with_folders_that_it_leaves_empty(store: Store, receipts: list[str]) -> None:
    named = sorted(store.list(FOLDER))
    for name in ("8_8_8/stale.shard", "16_16_16/0.shard", "16_16_16/deep/er/0.shard", "info", "mesh/0.shard"):
        store.write(f"{FOLDER}/{name}", b"old")
    for partial in ("8_8_8/.00.shard.abc.partial", "mesh/.1.shard.abc.partial"):
        store.local(f"{FOLDER}/{partial}").write_bytes(b"half")
    job = job_in(store)
    files, digest = close_folder(job, FOLDER, receipts, ("info", "mesh/"))
    assert files == len(named) == 10
    assert digest == hashlib.sha256(b"".join(read_receipt(store, path).to_bytes() for path in receipts)).hexdigest()
    assert sorted(store.list(FOLDER)) == sorted([*named, f"{FOLDER}/info", f"{FOLDER}/mesh/0.shard"])
    assert len(job.said) == 3
    left = {p.relative_to(store.local(FOLDER)).as_posix() for p in store.local(FOLDER).rglob("*")}
    assert not any(name.startswith("16_16_16") for name in left)
    assert {name for name in left if "partial" in name} == {"mesh/.1.shard.abc.partial"}


@pytest.mark.parametrize("name", [f"{FOLDER}/8_8_8/13.shard", "d/work/v/statistics/1.npy"])
@pytest.mark.parametrize("harm", ["lost", "longer"])
def test_what_a_receipt_names_must_be_there_as_long_as_it_says(
    store: Store, receipts: list[str], name: str, harm: str
) -> None:
    if harm == "lost":
        store.delete(name)
    else:
        store.write(name, store.read(name) + b"more")
    with pytest.raises(StoreError, match=rf"{name}: is not what its receipt says"):
        close_folder(job_in(store), FOLDER, receipts)


def test_what_a_stale_listing_lacks_is_asked_for_by_name(
    store: Store, receipts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Store.walk
    monkeypatch.setattr(
        Store, "walk", lambda self, folder: (e for e in whole(self, folder) if not e[0].endswith(("3.shard", "1.npy")))
    )
    assert close_folder(job_in(store), FOLDER, receipts)[0] == 10


def test_an_empty_folder_of_no_receipts_is_closed(store: Store) -> None:
    assert close_folder(job_in(store), FOLDER, []) == (0, hashlib.sha256().hexdigest())
    store.write(f"{FOLDER}/stale", b"")
    assert close_folder(job_in(store), FOLDER, [])[0] == 0
    assert not store.exists(f"{FOLDER}/stale")


def test_names_are_never_held_all_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 names with their receipts' entries would be 3 MB."""
    jobs, of_job = 40, 250
    monkeypatch.setattr(close, "BATCH", 250)

    def files(job: int) -> list[Written]:
        return [Written(f"{FOLDER}/8_8_8/{job * of_job + i:08x}.shard", i, "0" * 64) for i in range(of_job)]

    def walk(self: Store, folder: str) -> Iterator[tuple[str, int]]:
        return ((file.path, file.size_bytes) for job in range(jobs) for file in files(job))

    paths = [receipt(store, job, files(job)) for job in range(jobs)]
    monkeypatch.setattr(Store, "walk", walk)
    tracemalloc.start()
    try:
        assert close_folder(job_in(store), FOLDER, paths)[0] == jobs * of_job
        assert tracemalloc.get_traced_memory()[1] < 1.4e6
    finally:
        tracemalloc.stop()
