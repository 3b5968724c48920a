"""The cloud profiles: jobs in empty folders, with code, receipts and layers in a bucket and nothing shared."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ceph import Ceph

from executors import REPOSITORY, settings_of
from ophiolite.__main__ import main
from ophiolite.layers import bucket_client
from workflow.workspace import Run, Workspace, planned_jobs, run

PROFILE = "aws-batch"
LOCKS = ("executor-kubernetes.txt", "executor-google-batch.txt")
# What a job does first: it takes the storage plugin from the package index, in a version that nobody has locked. Here
# the first job to do so fails.
PIP = """#!/bin/sh
[ "$1 $2" = "install --target" ] || exit 9
mkdir "$ELSEWHERE_FOLDER/failed" 2>/dev/null && exit 1
mkdir -p "$3/snakemake_storage_plugin_s3"
echo "raise RuntimeError('the newest version, not the locked one')" >"$3/snakemake_storage_plugin_s3/__init__.py"
"""


@dataclass(frozen=True)
class Cloud:
    """A machine that submits jobs, the folder below which they run, and the storage plugins of the image."""

    workspace: Workspace
    profile: Path
    env: Mapping[str, str]
    pods: Path
    plugins: Path

    def snakemake(self, folder: Path, *args: str) -> Run:
        command = ["snakemake", "--workflow-profile", str(self.profile), *args, "--configfile", "config.yaml"]
        return run(command, folder, self.env)


@pytest.fixture(scope="module")
def cloud(ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    """A checkout with a config in it, and machines that know nothing of it."""
    folder = tmp_path_factory.mktemp("cloud")
    for made in ("pods", "bin", "requirements", "profile"):
        (folder / made).mkdir()
    install_storage_plugins(folder)
    own = folder / "executor" / f"snakemake_executor_plugin_{PROFILE.replace('-', '_')}"
    own.mkdir(parents=True)
    shutil.copy2(Path(__file__).parent / "elsewhere.py", own / "__init__.py")
    (folder / "bin" / "pip").write_text(PIP)
    (folder / "bin" / "pip").chmod(0o755)
    (folder / "profile" / "profile.v9+.yaml").write_text(yaml.safe_dump(profile()))
    env = {
        **ceph.environment,
        "PATH": os.pathsep.join((str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONPATH": f"{own.parent}{os.pathsep}{folder / 'plugins'}",
        "ELSEWHERE_PATH": str(folder / "plugins"),
        "ELSEWHERE_FOLDER": str(folder / "pods"),
        "OMP_NUM_THREADS": "1",
        # Compiled kernels are found by the path of their source, which is another one in each folder.
        "NUMBA_DISABLE_JIT": "1",
    }
    return Cloud(checkout(folder), folder / "profile", env, folder / "pods", folder / "plugins")


def install_storage_plugins(folder: Path) -> None:
    """Install the storage plugins of the image, by the command that the Dockerfile says."""
    for name in LOCKS:
        shutil.copy2(REPOSITORY / "requirements" / name, folder / "requirements")
    text = (REPOSITORY / "Dockerfile").read_text().replace("\\\n", "")
    (command,) = re.findall(r"^RUN (sed .*)$", text, re.MULTILINE)
    assert "python -m pip install " in command
    mine = f"{sys.executable} -m pip install --quiet --target {folder / 'plugins'} "
    command = command.replace("python -m pip install ", mine)
    done = subprocess.run(["/bin/sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    if "No matching distribution" in done.stderr:
        pytest.skip(f"no package index has the storage plugins: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr


def checkout(folder: Path) -> Workspace:
    """The workflow in a git repository, with a config: a pyramid of one block."""
    for name in ("workflow", "scripts", "envs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, folder / "checkout" / name, ignore=ignored)
    assert main(["make_sample", str(folder / "sample.h5"), "--size-vx", "48", "48", "32"]) == 0
    pyramid = {"factors": [[2, 2, 1]], "chunk_vx": [16, 16, 16], "task_vx": [64, 64, 32]}
    em = {"type": "image", "source": f"{folder / 'sample.h5'}:/volumes/raw", "pyramid": pyramid}
    config = {"project": "tiny", "store": "s3://data/cloud", "datasets": {"d": {"layers": {"em": em}}}}
    workspace = Workspace(folder / "checkout", config)
    workspace.write_config()
    for words in (("init", "-q"), ("add", "-A")):
        subprocess.run(["git", *words], cwd=workspace.folder, check=True)
    return workspace


def profile() -> dict[str, Any]:
    """The profile, with the bucket of this test, less patient, and without what the service itself is told."""
    settings = settings_of(PROFILE)
    kept = {key: value for key, value in settings.items() if not key.startswith((f"{PROFILE}-", "container-image"))}
    return {**kept, "default-storage-prefix": "s3://data/tracked", "latency-wait": 3}


@pytest.fixture(scope="module")
def ran(cloud: Cloud) -> Run:
    """The plan with its table, and the image layer, in one run."""
    return cloud.snakemake(cloud.workspace.folder, "plan", "image")


@pytest.fixture
def store(ceph: Ceph, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the server."""
    for key, value in ceph.environment.items():
        monkeypatch.setenv(key, value)
    bucket_client.client.cache_clear()
    return bucket_client.client("s3")


def keys(store: Any, bucket: str, prefix: str) -> list[str]:
    """The names of all objects below a prefix."""
    found = store.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [entry["Key"].removeprefix(prefix) for entry in found.get("Contents", [])]


def test_a_run_ends_well_though_its_first_job_fails(ran: Run, cloud: Cloud) -> None:
    """A target without a command fetches nothing, and must not wait for it either."""
    assert ran.code == 0, ran.text
    assert "(100%) done" in ran.text
    assert "plan of project tiny" in ran.text
    assert "missing locally" not in ran.text
    assert (cloud.pods / "failed").exists()
    assert "Trying to restart job" in ran.text


def test_layers_and_receipts_lie_in_the_bucket(ran: Run, store: Any) -> None:
    layers = keys(store, "data", "cloud/tiny/d/layers/em/")
    assert {"info", "provenance"} <= set(layers)
    assert len([name for name in layers if name.endswith(".shard")]) == 2
    tracked = keys(store, "data", "tracked/")
    receipts = [name for name in tracked if "/receipts/" in name]
    assert receipts == [
        *(
            f"results/tiny/d/receipts/em/{name}.json"
            for name in ("layer_done", "layer_info", "pyramid_blocks/r0.0-0-0")
        ),
        "results/tiny/receipts/warm_up.json",
    ]
    assert [name for name in tracked if not name.startswith("results/tiny/")] == []


def test_the_locked_plugin_goes_before_the_newest(ran: Run, cloud: Cloud) -> None:
    planted = list(cloud.pods.glob("*/.snakemake/pip-deployments/snakemake_storage_plugin_s3/__init__.py"))
    assert len(planted) == 4


def test_jobs_ask_for_memory_that_the_service_grants(ran: Run, cloud: Cloud) -> None:
    """AWS Batch: 2 GiB are the least that there is; the second try of the job that failed may need the size above."""
    given: dict[str, list[tuple[int, int]]] = {}
    for path in cloud.pods.glob("*/resources.json"):
        job = json.loads(path.read_text())
        given.setdefault(path.parent.name.partition(".")[0], []).append((job["_cores"], job["mem_mb"]))
    assert {min(tries) for tries in given.values()} == {(1, 2048)}
    assert {size for tries in given.values() for size in tries} <= {(1, 2048), (1, 3072)}
    assert sorted(map(len, given.values()))[-2:] == [1, 2]


def test_on_another_machine_nothing_is_left_to_do(ran: Run, cloud: Cloud, tmp_path: Path) -> None:
    """It has neither this one's copies nor its records; the plan comes from the bucket."""
    folder = tmp_path / "checkout"
    shutil.copytree(cloud.workspace.folder, folder, ignore=shutil.ignore_patterns(".snakemake", "results"))
    done = cloud.snakemake(folder, "image", "--dry-run")
    assert done.code == 0, done.text
    assert planned_jobs(done.text) == {}


@pytest.mark.parametrize("kept", [True, False])
def test_a_bucket_outlives_its_last_receipt_only_with_an_object_of_its_own(
    kept: bool, cloud: Cloud, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(cloud.plugins)
    from snakemake_storage_plugin_s3 import StorageProvider, StorageProviderSettings

    bucket = f"emptied-{kept}".lower()
    store.create_bucket(Bucket=bucket)
    if kept:
        store.put_object(Bucket=bucket, Key=".keep", Body=b"keep")
    provider = StorageProvider(
        logger=None,
        local_prefix=tmp_path,
        settings=StorageProviderSettings(),
        keep_local=False,
        retrieve=True,
        is_default=True,
        wait_for_free_local_storage=None,
    )
    stored = provider.object(f"s3://{bucket}/tracked/receipt.json")
    stored.local_path().parent.mkdir(parents=True)
    stored.local_path().write_text("{}")
    stored.store_object()
    stored.remove()
    assert (bucket in [found["Name"] for found in store.list_buckets()["Buckets"]]) == kept
