"""A disk that is full or forbids: one sentence, a non-zero exit, nothing half, and a second try that ends the same."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from workspace import Workspace, checksums, unfinished


def limited(megabytes: float) -> Callable[[], None]:
    """Run before a child starts: no file of it grows beyond this, as on a full disk."""

    def set_limit() -> None:
        size = int(megabytes * 1e6)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return set_limit


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_in_one_sentence_and_nothing_half(workspace: Workspace) -> None:
    before = checksums(workspace.project)
    (receipt,) = workspace.receipts("em", "pyramid_blocks/r0.0-0-0")
    workspace.forget(receipt)
    done = workspace.job("pyramid_blocks", "em", "--block", "r0.0-0-0", preexec_fn=limited(0.15))
    assert done.code == 1
    assert "cannot be written" in done.text
    assert "Traceback" not in done.text
    assert not receipt.exists()
    assert checksums(workspace.project).items() <= before.items() | tasks_of(workspace)
    assert [name for name in unfinished(workspace.project) if name.endswith(".partial")] == []
    again = workspace.job("pyramid_blocks", "em", "--block", "r0.0-0-0")
    assert again.code == 0, again.text
    assert workspace.job("layer_done", "em").code == 0
    assert checksums(workspace.project) == before


def tasks_of(workspace: Workspace) -> set[tuple[str, str]]:
    """Finished tasks that a failed job kept for the next try."""
    return {item for item in checksums(workspace.project).items() if "/tasks-" in item[0]}


@pytest.mark.slow
@pytest.mark.parametrize("where", ["layers/em/12_12_40", "work/em/carry", "work/em/pyramid_blocks"])
def test_no_space_on_the_device(workspace: Workspace, where: str) -> None:
    full = workspace.project / "d" / where
    workspace.forget(*workspace.receipts("em", "pyramid_blocks/r0.0-0-0"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(full)], check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        done = workspace.job("pyramid_blocks", "em", "--block", "r0.0-0-0")
        left = [path.name for path in full.rglob("*") if path.is_file()]
    finally:
        subprocess.run(["umount", str(full)], check=True)
    assert done.code == 1, done.text
    assert "No space left on device" in done.text
    assert "Free some space" in done.text
    assert "Traceback" not in done.text
    assert left == []


def without_override() -> None:
    """Run before a child starts: root too is bound by permissions (prctl PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


@pytest.mark.slow
def test_no_permission_to_write(workspace: Workspace) -> None:
    folder = workspace.layers / "em" / "12_12_40"
    workspace.forget(*workspace.receipts("em", "pyramid_blocks/r0.0-0-0"))
    folder.chmod(0o555)
    try:
        done = workspace.job("pyramid_blocks", "em", "--block", "r0.0-0-0", preexec_fn=without_override)
    finally:
        folder.chmod(0o755)
    assert done.code == 1
    assert "cannot be written (Permission denied)" in done.text
    assert "write permission" in done.text
    assert "Traceback" not in done.text


def test_no_permission_to_make_the_results(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.zeros((4, 4, 4), np.uint8))
    layer = {"type": "image", "source": "v.npy", "resolution_nm": [8, 8, 8]}
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    config = {"project": "p", "store": str(closed / "results"), "datasets": {"d": {"layers": {"v": layer}}}}
    workspace = Workspace(tmp_path, config)
    workspace.write_config()
    command = ["make_plan", "--config", "config.yaml"]
    done = replace(workspace, config={**config, "store": "results"}).command(*command, preexec_fn=without_override)
    closed.chmod(0o755)
    assert done.code == 1
    assert str(closed / "results") in done.text
    assert "Permission denied" in done.text
    assert "Traceback" not in done.text
