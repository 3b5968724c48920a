"""The workflow through `profiles/slurm` on a real SLURM, with everything done to it that clusters do to jobs.

One project is followed: its image is made while a job is cancelled, another runs out of memory and a node dies; its
meshes while snakemake itself is killed. The tests then look at what that left.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slurm import cluster as cluster_module
from slurm.cluster import NODES, Cluster, wait_for
from workflow.workspace import REPOSITORY, Workspace, checksums, environment, planned_jobs

pytestmark = pytest.mark.slow

PROFILE = str(REPOSITORY / "profiles" / "slurm")
SECONDS = 300
# Of what each job asks for; the rest is of the plan and grows with each attempt.
SNAKEMAKE_MB = 400
# Less than `warm_up` needs, and more than half of it.
LITTLE_MB = 300


@dataclass(frozen=True)
class SlurmJob:
    """One try of a job, as `sacct` has it."""

    number: str
    rule: str
    state: str
    node: str
    memory: str


def command(*args: str) -> list[str]:
    """The command line of a user on the login node, but looking at the queue more often."""
    return [
        "snakemake",
        *("--snakefile", str(REPOSITORY / "workflow" / "Snakefile"), "--workflow-profile", PROFILE),
        *("--configfile", "config.yaml", "--slurm-init-seconds-before-status-checks", "1"),
        *args,
    ]


@contextlib.contextmanager
def started(workspace: Workspace, login: dict[str, str], name: str, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """A snakemake of its own process group, with its output in `<name>.log`; gone at the end in any case."""
    with (workspace.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command(*args),
            cwd=workspace.folder,
            env=environment(login),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def hang_at(workspace: Workspace, point: str) -> dict[str, str]:
    """What makes the first job that comes to a write point hang there."""
    mark = str(workspace.folder / "hangs")
    return {"OPHIOLITE_STOP_AT": point, "OPHIOLITE_STOP_MARK": mark, "OPHIOLITE_STOP_HOW": "hang"}


def queued(cluster: Cluster, job: str) -> list[tuple[str, str]]:
    """(number, node) of what waits or runs of a job, named as the plugin does: by its rule, or with its wildcards."""
    lines = cluster.run("squeue", "-h", "-t", "PENDING,RUNNING", "-o", "%i|%N|%k").splitlines()
    rows = [line.split("|") for line in lines]
    return [(number, node) for number, node, comment in rows if f"{comment}_".startswith(f"rule_{job}_")]


def accounted(cluster: Cluster) -> list[SlurmJob]:
    """Every try of every job so far."""
    text = cluster.run("sacct", "-X", "-D", "-n", "-P", "-o", "jobid,comment,state,nodelist,reqmem")
    rows = [line.split("|") for line in text.splitlines()]
    rule = re.compile(r"rule_(.*?)(_wildcards_.*)?$")
    return [
        SlurmJob(number, rule.sub(r"\1", comment), state.split()[0], node, memory)
        for number, comment, state, node, memory in rows
    ]


def until(process: subprocess.Popen[bytes], log: Path, what: str, true: Callable[[], bool]) -> None:
    """Wait for something that a running snakemake brings about."""
    wait_for(what, lambda: true() or process.poll() is not None, SECONDS)
    assert true(), f"{what} did not happen:\n{log.read_text()[-5000:]}"


@pytest.fixture(scope="module")
def image(cluster: Cluster, login: dict[str, str], workspace: Workspace) -> str:
    """What snakemake said while the image was made, one job cancelled, one short of memory, and one node dead."""
    log = workspace.folder / "image.log"
    env = {**login, **hang_at(workspace, "receipt:d/receipts/neurons/pyramid_blocks/r0.0-0-0.json")}
    little = ("--set-resources", f"warm_up:mem_mb={LITTLE_MB} * attempt")
    with started(workspace, env, "image", *little, "--", "image") as snakemake:
        until(snakemake, log, "layer_info in the queue", lambda: bool(queued(cluster, "layer_info")))
        cluster.run("scancel", queued(cluster, "layer_info")[0][0])

        until(snakemake, log, "a block that hangs", (workspace.folder / "hangs").exists)
        ((_, node),) = queued(cluster, "pyramid_blocks_wildcards_d_neurons_0_0-0-0")
        cluster.crash_node(node)
        until(snakemake, log, "the node's end", lambda: cluster.states()[node].startswith("down"))
        snakemake.wait(SECONDS)
        cluster.start_node(node)
    text = log.read_text()
    assert snakemake.returncode == 0, text[-5000:]
    return text


@pytest.fixture(scope="module")
def mesh(cluster: Cluster, login: dict[str, str], workspace: Workspace, image: str) -> str:
    """What snakemake said when it was started again after it had been killed with a job of meshes on each node."""
    (workspace.folder / "hangs").unlink()
    log = workspace.folder / "killed.log"
    env = {**login, **hang_at(workspace, "rename:d/work/neurons/mesh_fragments/0-0-0.frags")}
    with started(workspace, env, "killed", "--", "mesh") as snakemake:
        until(snakemake, log, "a job that hangs", (workspace.folder / "hangs").exists)
    assert queued(cluster, "mesh_fragments_wildcards_d_neurons_0-0-0"), (
        "the job outlives the snakemake that submitted it"
    )
    with started(workspace, login, "locked", "--", "mesh") as snakemake:
        assert snakemake.wait(SECONDS) != 0
    assert "--unlock" in (workspace.folder / "locked.log").read_text()
    with started(workspace, login, "unlock", "--unlock") as snakemake:
        assert snakemake.wait(SECONDS) == 0
    with started(workspace, login, "mesh", "--", "mesh") as snakemake:
        snakemake.wait(SECONDS)
    text = (workspace.folder / "mesh.log").read_text()
    assert snakemake.returncode == 0, text[-5000:]
    return text


def tries_of(cluster: Cluster, rule: str) -> list[SlurmJob]:
    """The tries of a rule's jobs."""
    return [job for job in accounted(cluster) if job.rule == rule]


def test_a_cancelled_job_is_submitted_again(cluster: Cluster, image: str) -> None:
    first, second = tries_of(cluster, "layer_info")
    assert (first.state, second.state) == ("CANCELLED", "COMPLETED")
    assert f"SLURM-job '{first.number}' failed, SLURM status is: 'CANCELLED'" in image
    planned, again = (int(job.memory.removesuffix("M")) - SNAKEMAKE_MB for job in (first, second))
    assert again == 2 * planned > 0


def test_a_job_short_of_memory_comes_back_with_more(cluster: Cluster, image: str) -> None:
    first, second = tries_of(cluster, "warm_up")
    assert (first.memory, second.memory) == (f"{LITTLE_MB}M", f"{2 * LITTLE_MB}M")
    # SLURM ends the step that takes too much, some versions with a word of their own; the job fails with it.
    steps = cluster.run("sacct", "-n", "-P", "-j", first.number, "-o", "jobid,state").splitlines()
    assert {f"{first.number}.0|CANCELLED by 0", f"{first.number}.0|OUT_OF_MEMORY"} & set(steps), steps
    assert first.state in ("FAILED", "OUT_OF_MEMORY")
    assert second.state == "COMPLETED"


def test_the_log_of_a_failed_job_comes_back(cluster: Cluster, image: str, workspace: Workspace) -> None:
    (first, _) = tries_of(cluster, "warm_up")
    (log,) = workspace.folder.glob(f".snakemake/slurm_logs/rule_warm_up/{first.number}.log")
    assert re.search("memory limit", log.read_text())
    assert str(log) in image


def test_the_jobs_of_a_dead_node_run_on_another(cluster: Cluster, image: str) -> None:
    tries = [job for job in tries_of(cluster, "pyramid_blocks") if job.state != "COMPLETED"]
    assert {job.state for job in tries} <= {"NODE_FAIL", "REQUEUED"}
    (number,) = {job.number for job in tries}
    (done,) = [job for job in accounted(cluster) if job.number == number and job.state == "COMPLETED"]
    assert done.node != tries[0].node


def test_jobs_land_on_different_nodes(cluster: Cluster, mesh: str) -> None:
    tries = accounted(cluster)
    moved = {job.number for job in tries if job.state in ("NODE_FAIL", "REQUEUED")}
    assert {job.node for job in tries if job.state == "COMPLETED" and job.number not in moved} == set(NODES)


def test_every_job_asked_for_the_memory_of_the_plan_and_of_snakemake(cluster: Cluster, mesh: str) -> None:
    (first, *_) = tries_of(cluster, "mesh_index")
    assert first.memory == "700M"  # 300 of the plan


def test_the_result_is_that_of_a_local_run(local: Workspace, workspace: Workspace, mesh: str) -> None:
    assert checksums(workspace.project) == checksums(local.project)
    logs = {path.relative_to(local.project) for path in local.project.glob("d/logs/*/*")}
    assert logs <= {path.relative_to(workspace.project) for path in workspace.project.glob("d/logs/*/*")}


def test_what_outlives_the_cluster_would_be_seen(cluster: Cluster, tmp_path: Path) -> None:
    """`killed` names it at the end, and must be empty there."""
    other = Cluster(tmp_path)
    with subprocess.Popen(["sleep", "60"], env={**os.environ, **other.environment}) as stray:
        assert other.left_over() == [stray.pid]
        assert stray.pid not in cluster.left_over()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(cluster_module, "END_S", 0.2)
            other.stop()
        assert stray.wait(5) == -signal.SIGKILL
    assert other.killed == ["sleep 60"]
    assert other.left_over() == []


def test_nothing_is_left_to_do(workspace: Workspace, mesh: str, login: dict[str, str]) -> None:
    with started(workspace, login, "dry", "--dry-run", "--", "image", "mesh") as snakemake:
        assert snakemake.wait(SECONDS) == 0
    assert planned_jobs((workspace.folder / "dry.log").read_text()) == {}
