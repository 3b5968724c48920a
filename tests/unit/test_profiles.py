"""Every profile is one that Snakemake and the executor's plugin accept, complete in itself and locked."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from executors import PROFILES, REPOSITORY, python_of, settings_of, why_absent

# What every profile holds, since profiles do not merge.
COMMON = {
    "scheduler": "greedy",
    "rerun-incomplete": True,
    "keep-going": True,
    "show-failed-logs": True,
    "rerun-triggers": ["mtime", "params", "input"],
}
CLUSTERS = [name for name in PROFILES if "executor" in settings_of(name)]
CLOUDS = [name for name in CLUSTERS if "default-storage-provider" in settings_of(name)]
PARSE = """
import json, sys
from snakemake.cli import parse_args
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
_, args = parse_args(["--workflow-profile", sys.argv[1]])
plugin = ExecutorPluginRegistry().get_plugin(args.executor or "local")
settings = plugin.get_settings(args)
plugin.validate_settings(settings)
found = {key: str(value) for key, value in vars(settings).items() if value is not None}
print(json.dumps({"executor": args.executor, "retries": args.retries, "settings": found}))
"""


def parsed(profile: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A profile, read by Snakemake's own parser in the environment of its plugin."""
    python = python_of(profile)
    if python is None:
        pytest.skip(why_absent(profile))
    return subprocess.run([python, "-c", PARSE, folder], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("profile", PROFILES)
def test_snakemake_and_the_plugin_take_every_key(profile: str) -> None:
    done = parsed(profile, PROFILES[profile].parent)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    settings = settings_of(profile)
    assert said["executor"] == settings.get("executor")
    own = f"{settings.get('executor')}-"
    keys = {key.removeprefix(own).replace("-", "_"): value for key, value in settings.items() if key.startswith(own)}
    assert {key: said["settings"][key] for key in keys} == {key: str(value) for key, value in keys.items()}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_misspelt_key_is_found(profile: str, tmp_path: Path) -> None:
    text = PROFILES[profile].read_text()
    (tmp_path / "profile.v9+.yaml").write_text(text.replace("keep-going", "keep-gonig"))
    done = parsed(profile, tmp_path)
    assert done.returncode == 2
    assert "keep-gonig" in done.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_complete_in_itself(profile: str) -> None:
    assert settings_of(profile).items() >= COMMON.items()


@pytest.mark.parametrize("profile", CLUSTERS)
def test_jobs_of_a_cluster_have_memory_and_time_that_grow_and_further_tries(profile: str) -> None:
    settings = settings_of(profile)
    resources = settings["default-resources"]
    assert isinstance(resources, dict)
    assert all(str(resources[name]).endswith("* attempt") for name in ("mem_mb", "runtime"))
    assert "disk_mb" in resources
    assert settings["retries"] == 3
    assert {"jobs", "max-jobs-per-timespan", "latency-wait", "shared-fs-usage"} <= settings.keys()


@pytest.mark.parametrize("profile", CLOUDS)
def test_in_a_cloud_nothing_is_shared_and_no_target_waits_for_copies(profile: str) -> None:
    """As tests/s3/test_s3_pods.py runs one of them: with local copies kept, Snakemake 9.27 ends in an error."""
    settings = settings_of(profile)
    assert settings["shared-fs-usage"] == "none"
    assert "keep-storage-local-copies" not in settings
    assert str(settings["default-storage-prefix"]).startswith(("s3://BUCKET/", "gs://BUCKET/"))


@pytest.mark.parametrize("profile", CLUSTERS)
def test_the_plugins_of_a_profile_are_locked_with_the_versions_of_the_lock(profile: str) -> None:
    folder = REPOSITORY / "requirements"
    locked, plugins = (pins(folder / name) for name in ("lock.txt", f"executor-{profile}.txt"))
    wanted = re.findall(r"^snakemake-[a-z0-9-]+", (folder / f"executor-{profile}.in").read_text(), re.MULTILINE)
    assert wanted
    assert set(wanted) <= plugins.keys()
    executor = str(settings_of(profile)["executor"])
    assert f"snakemake-executor-plugin-{executor}" in wanted
    storage = settings_of(profile).get("default-storage-provider")
    assert storage is None or f"snakemake-storage-plugin-{storage}" in wanted
    shared = [name for name in plugins.keys() & locked.keys() if name.startswith("snakemake")]
    assert {name: plugins[name] for name in shared} == {name: locked[name] for name in shared}


def pins(path: Path) -> dict[str, str]:
    """Package -> version of a lock, where each line of one is a pin or a hash of it."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.MULTILINE))


def test_every_profile_is_named_in_the_readme_and_in_the_docs() -> None:
    readme = (REPOSITORY / "profiles" / "README.md").read_text()
    docs = (REPOSITORY / "docs" / "executors.md").read_text()
    assert [name for name in PROFILES if f"| `{name}` |" not in readme] == []
    assert [name for name in CLUSTERS if f"profiles/{name}" not in docs] == []
