"""Jobs and snakemake itself killed at named write points: nothing looks finished, and a second try ends the same."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from workspace import PRODUCTS, Workspace, checksums, environment, snakemake_command, unfinished

pytestmark = pytest.mark.slow

EARLIER = "done by an earlier try"
# rule, item, where the three points are, and how many tasks of the block the next try finds done.
JOBS = {
    "pyramid_blocks": ("--block", "r0.0-0-0", "1-1-0.pack", "d/layers/neurons/24_24_40/0.shard", 4),
    "mesh_fragments": ("--block", "0-0-0", "1-0-0.pack", "d/work/neurons/mesh_fragments/0-0-0.frags", 2),
    "skeleton_fragments": ("--block", "0-0-0", "1-0-0.pack", "d/work/neurons/skeleton_fragments/0-0-0.frags", 2),
    "mesh_shards": ("--job", "1", "d/layers/neurons/mesh/1.shard", "d/work/neurons/mesh_measures/1.parquet", 0),
}


def stop_at(workspace: Workspace, point: str, pattern: str, how: str = "kill") -> dict[str, str]:
    """What makes the first process that comes to a write point kill itself, or hang there."""
    mark = str(workspace.folder / "stopped")
    return {"OPHIOLITE_STOP_AT": f"{point}:{pattern}", "OPHIOLITE_STOP_MARK": mark, "OPHIOLITE_STOP_HOW": how}


@pytest.mark.parametrize("point", ["fsync", "rename", "receipt"])
@pytest.mark.parametrize("rule", sorted(JOBS))
def test_a_killed_job_goes_on_where_it_was(workspace: Workspace, rule: str, point: str) -> None:
    option, item, early, late, tasks = JOBS[rule]
    before = checksums(workspace.project)
    receipt = workspace.project / "d" / "receipts" / "neurons" / rule / f"{item}.json"
    pattern = {"fsync": early, "rename": late, "receipt": f"d/receipts/neurons/{rule}/{item}.json"}[point]
    workspace.forget(receipt)
    killed = workspace.job(rule, "neurons", option, item, env=stop_at(workspace, point, pattern))
    assert killed.code == -signal.SIGKILL, killed.text
    assert (workspace.folder / "stopped").read_text() == f"{point} {pattern}\n"
    assert not receipt.exists()
    left = checksums(workspace.project)
    whole = {name: value for name, value in left.items() if name in before}
    assert whole.items() <= before.items()
    assert all(name in unfinished(workspace.project) for name in left.keys() - whole.keys())

    again = workspace.job(rule, "neurons", option, item)
    assert again.code == 0, again.text
    assert again.text.count(EARLIER) == {"fsync": max(tasks - 1, 0), "rename": tasks, "receipt": tasks}[point]
    assert [name for name in unfinished(workspace.project) if name.endswith(".partial")] == []
    done = {"pyramid_blocks": "layer_done", "mesh_fragments": "mesh_done", "mesh_shards": "mesh_done"}
    closed = workspace.job(done.get(rule, "skeleton_done"), "neurons")
    assert closed.code == 0, closed.text
    assert checksums(workspace.project) == before


@pytest.mark.parametrize(
    ("rule", "layer", "item", "pattern"),
    [
        ("layer_info", "neurons", (), "d/layers/neurons/info"),
        ("label_stats", "neurons", ("--part", "0"), "d/work/neurons/label_stats/0.npy"),
        ("mesh_index", "neurons", (), "d/work/neurons/mesh_index.npy"),
        ("object_table", "neurons", ("--part", "0"), "d/objects/neurons/0.parquet"),
        ("segment_properties", "neurons", (), "d/layers/neurons/segment_properties/info"),
        ("annotation_layer", "synapses", (), "d/layers/synapses/by_id/0.shard"),
    ],
)
def test_small_jobs_leave_nothing_half_either(
    workspace: Workspace, rule: str, layer: str, item: tuple[str, ...], pattern: str
) -> None:
    before = checksums(workspace.project)
    workspace.forget(*workspace.receipts(layer, rule))
    killed = workspace.job(rule, layer, *item, env=stop_at(workspace, "rename", pattern))
    assert killed.code == -signal.SIGKILL, killed.text
    assert not (workspace.project / pattern).exists()
    again = workspace.job(rule, layer, *item)
    assert again.code == 0, again.text
    assert checksums(workspace.project) == before


def test_snakemake_killed_with_its_jobs_goes_on_after_unlocking(workspace: Workspace) -> None:
    before = checksums(workspace.project)
    rules = ("mesh_fragments", "mesh_index", "mesh_shards", "mesh_done", "object_table", "segment_properties")
    workspace.forget(*workspace.receipts("neurons", *rules))
    stop = stop_at(workspace, "rename", "d/work/neurons/mesh_fragments/*.frags", "hang")
    with (workspace.folder / "killed.log").open("w") as log:
        process = subprocess.Popen(
            snakemake_command(["--", *PRODUCTS], workspace.folder),
            cwd=workspace.folder,
            env=environment(stop),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        mark = workspace.folder / "stopped"
        deadline = time.monotonic() + 300
        while not mark.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert mark.exists(), (workspace.folder / "killed.log").read_text()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
    assert alive_in(process.pid) == []

    locked = workspace.snakemake("--", *PRODUCTS)
    assert locked.code != 0
    assert "--unlock" in locked.text
    assert workspace.snakemake("--unlock").code == 0
    done = workspace.snakemake("--", *PRODUCTS)
    assert done.code == 0, done.text
    assert checksums(workspace.project) == before
    assert workspace.jobs() == {}


def alive_in(group: int) -> list[str]:
    """Processes of a group that still run; those that are dead but not waited for do not."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().rpartition(")")
            state, _, in_group = rest.split()[:3]
            if int(in_group) == group and state != "Z":
                found.append(name)
    return found


def test_a_killed_job_is_tried_again_by_snakemake_itself(workspace: Workspace) -> None:
    before = checksums(workspace.project)
    workspace.forget(*workspace.receipts("neurons", "mesh_shards", "mesh_done", "object_table", "segment_properties"))
    stop = stop_at(workspace, "rename", "d/layers/neurons/mesh/0.shard")
    done = workspace.snakemake("--retries", "1", "--", *PRODUCTS, env=stop)
    assert done.code == 0, done.text
    assert (workspace.folder / "stopped").exists()
    assert checksums(workspace.project) == before


def test_two_runs_are_equal_to_the_byte(finished: Workspace, fresh: Any, tmp_path: Path) -> None:
    workspace = fresh(tmp_path, finished.config)
    done = workspace.snakemake("--", *PRODUCTS)
    assert done.code == 0, done.text
    ours, theirs = checksums(workspace.project), checksums(finished.project)
    assert [name for name in theirs if ours.get(name) != theirs[name]] == []
    assert ours.keys() == theirs.keys()
    assert len([name for name in ours if name.endswith(".shard")]) > 10
