"""A job of several threads gives the bytes of one that has one."""

from __future__ import annotations

import pytest

from workflow.workspace import Workspace, checksums


@pytest.mark.parametrize("product", ["mesh", "skeleton"])
def test_fragments_are_the_same_bytes_on_three_threads(workspace: Workspace, product: str) -> None:
    rule = f"{product}_fragments"
    before = checksums(workspace.project)
    receipts = workspace.receipts("neurons", rule)
    tasks = []
    for receipt in receipts:
        workspace.forget(receipt)
        done = workspace.job(rule, "neurons", "--block", receipt.stem, "--threads", "3")
        assert done.code == 0, done.text
        tasks.append([line.partition("task ")[2] for line in done.text.splitlines() if "task " in line])
    assert max(map(len, tasks)) > 1
    assert all(said == [f"{n} of {len(said)}" for n in range(1, len(said) + 1)] for said in tasks), tasks
    assert checksums(workspace.project) == before
