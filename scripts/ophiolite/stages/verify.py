"""Reading back what receipts name: which files are missing, cut short or altered, and which receipts are lost.

A file is compared with the size and sha256 of its receipt; of an altered shard, `verify_shards` tells the chunks or
labels that no longer decode. What is found is recorded; `snakemake heal` runs these jobs again, wave by wave. Jobs are
deterministic and leave alone what they find as they would write it: only damaged files and lost receipts are new,
every other keeps its time, and nothing downstream runs.
"""

from __future__ import annotations

import csv
import io
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

from pydantic import TypeAdapter, ValidationError

from ophiolite.errors import LayerError, StoreError, explain
from ophiolite.layers.paths import KEPT_WORK, LayerPaths
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Store, Written
from ophiolite.plan.model import AnnotationPlan, ProjectPlan, Refused, VolumePlan
from ophiolite.stages.cleaned import read_cleaned
from ophiolite.stages.stale import planned_jobs
from ophiolite.stages.verify_needs import Needs
from ophiolite.stages.verify_shards import damaged_entries

DAMAGE = "damage.json"
HEALING = "healing"
TABLE = "tables/verify.csv"
SAY_EVERY = 200
# Files that threads may read while the first of them is waited for.
AHEAD = 1000
# Jobs before the pyramid's rounds, and after them, in the order in which they read each other's files; annotations look
# up labels, or outline objects.
EARLY = ("layer_info", "slide_images", "mask_objects")
WAVES = (
    "label_stats", "layer_done", "fragments", "index", "objects", "contours", "shards", "done", "table", "properties",
)  # fmt: skip
LATE = 100
Entry = tuple[str, str, Written]


@dataclass(frozen=True)
class Fault:
    """One thing that is not as a receipt says.

    item : block, part or merge job; empty where a rule runs once per layer. path : relative to the project's folder.
    fault : `missing`, `wrong size`, `altered`, `unreadable`, `receipt lost`, `receipt unreadable` or `needed again`,
    which is no damage: an intermediate file that `clean_work` removed and that a damaged job reads. detail : what is
    known more. wave : when its job is to run: after those of lower waves, whose files it may read.
    """

    dataset: str
    layer: str
    rule: str
    item: str
    path: str
    fault: str
    detail: str
    wave: int


@dataclass
class Verified:
    """What was read back.

    cleaned : intermediate files that are not there since `clean_work`. waiting : planned jobs that have not run yet.
    refused : layers that the plan refuses, of which nothing was looked at.
    """

    files: int = 0
    size_bytes: int = 0
    receipts: int = 0
    cleaned: int = 0
    waiting: int = 0
    faults: list[Fault] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def jobs(self) -> list[tuple[str, str, str, str]]:
        """(dataset, layer, rule, item) of the jobs to make again, sorted."""
        return sorted({(f.dataset, f.layer, f.rule, f.item) for f in self.faults})


def verify(store: Store, plan: ProjectPlan, threads: int, say: Callable[[str], None]) -> Verified:
    """Read back every file that a receipt of the plan names; layers that it refuses are not looked at."""
    found = Verified()
    with ThreadPoolExecutor(threads) as pool:
        for dataset, data in plan.datasets.items():
            layers: dict[str, _Layer] = {}
            for name, layer in data.layers.items():
                if isinstance(layer, Refused):
                    found.refused.append(f"{dataset}/{name}")
                else:
                    paths = LayerPaths(dataset, name)
                    layers[name] = _Layer(store, paths, layer, read_cleaned(store, paths))
                    _verify_layer(layers[name], found, pool, say)
            if any(layer.cleaned for layer in layers.values()):
                damaged = {(f.layer, f.rule, f.item) for f in found.faults if f.dataset == dataset}
                found.faults += list(_needed_again(layers, damaged))
    found.faults.sort(key=lambda f: (f.dataset, f.layer, f.rule, f.item, f.path))
    return found


@dataclass(frozen=True)
class _Layer:
    """A layer to verify. cleaned : the digests of rules whose intermediate files `clean_work` removed."""

    store: Store
    paths: LayerPaths
    plan: VolumePlan | AnnotationPlan
    cleaned: Mapping[str, str]

    def fault(self, rule: str, item: str, path: str, fault: str, detail: str = "") -> Fault:
        return Fault(self.paths.dataset, self.paths.layer, rule, item, path, fault, detail, _wave(rule, item))


def _wave(rule: str, item: str) -> int:
    """A number that orders jobs so that none reads what a later one makes."""
    if rule in EARLY:
        return 0
    if rule == "pyramid_blocks":
        return 1 + int(item[1:].partition(".")[0])
    step = rule if rule in WAVES else rule.rpartition("_")[2]
    return LATE + (WAVES.index(step) if step in WAVES else len(WAVES))


def _verify_layer(layer: _Layer, found: Verified, pool: ThreadPoolExecutor, say: Callable[[str], None]) -> None:
    where, number, receipts = f"{layer.paths.dataset}/{layer.paths.layer}", 0, found.receipts
    for (rule, item, file), problem in _checked(layer, _named(layer, found), pool):
        number += 1
        if number % SAY_EVERY == 0:
            say(f"{where}: {number} files")
        if problem == ("cleaned", ""):
            found.cleaned += 1
            continue
        found.files += 1
        found.size_bytes += file.size_bytes
        if problem:
            found.faults.append(layer.fault(rule, item, file.path, *problem))
    say(f"{where}: {number} files of {found.receipts - receipts} receipts read back")


def _named(layer: _Layer, found: Verified) -> Iterator[Entry]:
    """The files that the receipts of a layer name, receipt by receipt: they may be more than fit into memory.

    Faults of the receipts themselves are added to `found`.
    """
    for rule, item in planned_jobs(layer.plan):
        path = layer.paths.receipt(rule, item)
        if not layer.store.exists(path):
            if _has_run(layer, rule, item):
                found.faults.append(layer.fault(rule, item, path, "receipt lost"))
            else:
                found.waiting += 1
            continue
        found.receipts += 1
        try:
            receipt = read_receipt(layer.store, path)
            # A new plan removes receipts of other settings, so that these have been altered.
            if (receipt.rule, receipt.item, receipt.digest) != (rule, item, layer.plan.digests[rule]):
                raise LayerError(f"{layer.store.place(path)}: names another job or other settings than the plan.")
        except (LayerError, StoreError) as error:
            found.faults.append(layer.fault(rule, item, path, "receipt unreadable", str(error)))
            continue
        yield from ((rule, item, file) for file in receipt.files)


def _checked(
    layer: _Layer, entries: Iterable[Entry], pool: ThreadPoolExecutor
) -> Iterator[tuple[Entry, tuple[str, str] | None]]:
    """Every file with its fault, in order; some are read ahead."""
    ahead: deque[tuple[Entry, Future[tuple[str, str] | None]]] = deque()
    for entry in entries:
        ahead.append((entry, pool.submit(_check, layer, entry[0], entry[2])))
        if len(ahead) == AHEAD:
            first, problem = ahead.popleft()
            yield first, problem.result()
    yield from ((entry, problem.result()) for entry, problem in ahead)


def _check(layer: _Layer, rule: str, file: Written) -> tuple[str, str] | None:
    """(fault, detail) of one file, None where it is as written."""
    try:
        size = layer.store.size(file.path)
        if size is None:
            return ("cleaned", "") if _may_be_missing(layer, rule, file.path) else ("missing", "")
        if size != file.size_bytes:
            return "wrong size", f"{size} bytes, written {file.size_bytes}"
        if layer.store.checksum(file.path) == file.sha256:
            return None
    except StoreError as error:
        if layer.store.bucket:  # which is out of reach: it says nothing of the object
            raise
        return "unreadable", str(error)
    return "altered", damaged_entries(layer.store, layer.paths, layer.plan, file)


def _may_be_missing(layer: _Layer, rule: str, path: str) -> bool:
    """Whether a file is one of the intermediate files that `clean_work` removed."""
    if not path.startswith(f"{layer.paths.work}/"):
        return False
    entry = path.removeprefix(f"{layer.paths.work}/").split("/")[0]
    return entry not in KEPT_WORK and layer.cleaned.get(rule) == layer.plan.digests[rule]


def _has_run(layer: _Layer, rule: str, item: str) -> bool:
    """Whether a job without a receipt ran with the plan's settings and code: its timing, written first, says so.

    A timing that says nothing, being damaged, is of a job that ran.
    """
    timing = layer.paths.timing(rule, item)
    if not layer.store.exists(timing):
        return False
    try:
        return bool(json.loads(layer.store.read(timing))["digest"] == layer.plan.digests[rule])
    except (ValueError, KeyError, TypeError):
        return True
    except StoreError:
        if layer.store.bucket:
            raise
        return True


def _needed_again(layers: Mapping[str, _Layer], damaged: set[tuple[str, str, str]]) -> Iterator[Fault]:
    """The jobs whose cleaned intermediate files damaged ones of a dataset read, and those that these read in turn.

    damaged : (layer, rule, item).
    """
    needs = {name: Needs(layer.store, layer.paths, layer.plan) for name, layer in layers.items()}
    again, seen = sorted(damaged), set(damaged)
    while again:
        name, *job = again.pop()
        for other in needs[name].of(*job):
            if other in seen or other[0] not in layers:
                continue
            layer, (_, rule, item) = layers[other[0]], other
            path = layer.paths.receipt(rule, item)
            if not layer.cleaned or not layer.store.exists(path):
                continue
            seen.add(other)
            gone = [f.path for f in read_receipt(layer.store, path).files if _is_cleaned(layer, rule, f)]
            if gone:
                again.append(other)
                yield layer.fault(rule, item, gone[0], "needed again", "removed by clean_work")


def _is_cleaned(layer: _Layer, rule: str, file: Written) -> bool:
    return _may_be_missing(layer, rule, file.path) and not layer.store.exists(file.path)


def record(store: Store, plan: ProjectPlan, found: Verified) -> None:
    """Record what is damaged, for `heal`; without faults, forget older records."""
    for dataset in plan.datasets:
        for path in list(store.list(f"{dataset}/{HEALING}")):
            store.delete(path)
    if found.faults:
        store.write(DAMAGE, (json.dumps([asdict(f) for f in found.faults], indent=1) + "\n").encode())
    else:
        store.delete(DAMAGE)


def read_damage(store: Store) -> list[Fault]:
    """What the last verification found damaged; raises LayerError where the record is itself damaged."""
    if not store.exists(DAMAGE):
        return []
    try:
        return TypeAdapter(list[Fault]).validate_json(store.read(DAMAGE), strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        problem = f"is no record of `snakemake verify` ({fault['msg']})"
        raise LayerError(explain(store.place(DAMAGE), problem, do="Run `snakemake verify` again")) from None


def table_bytes(found: Verified) -> bytes:
    """The faults as CSV, a row each."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Fault.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(f) for f in found.faults)
    return text.getvalue().encode()
