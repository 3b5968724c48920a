"""Whole objects in a real run: a soma is found, nothing is done twice, a named label remakes what follows from it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from workspace import PRODUCTS, Workspace

from ophiolite.sample.phantom import SOMA_LABEL

pytestmark = pytest.mark.slow

AFTER = {
    "skeleton_objects": 1, "skeleton_shards": 1, "skeleton_done": 1, "skeleton_graph": 1, "skeleton_swc": 1,
    "object_table": 1, "segment_properties": 1,
}  # fmt: skip


def facts(workspace: Workspace) -> dict[str, Any]:
    (receipt,) = workspace.receipts("neurons", "skeleton_objects")
    found: dict[str, Any] = json.loads(receipt.read_text())["facts"]
    return found


def test_a_soma_is_seen_whole_and_a_named_label_remakes_what_follows(
    workspace: Workspace, labels: NDArray[np.uint64]
) -> None:
    """The volume has no room for a soma of the default size: nothing is reserved until the threshold is lowered."""
    assert workspace.receipts("neurons", "skeleton_objects") == []
    lower = workspace.changed("datasets.d.layers.neurons.skeleton.soma_detect_nm", 200)
    lower = lower.changed("datasets.d.layers.neurons.skeleton.soma_accept_nm", 250)
    done = lower.snakemake("--", *PRODUCTS)
    assert done.code == 0, done.text
    said = facts(lower)
    assert str(SOMA_LABEL) in said["dealt"]
    assert (said["objects"][str(SOMA_LABEL)]["reason"], said["objects"][str(SOMA_LABEL)]["somata"]) == ("", 1)
    assert "Nothing to be done" in lower.snakemake("--", *PRODUCTS).text
    found, voxels = np.unique(labels[labels > 0], return_counts=True)
    label = next(int(v) for v in found[np.argsort(-voxels)] if str(v) not in said["dealt"])
    named = lower.changed("datasets.d.layers.neurons.skeleton.whole_labels", [label])
    named.plan()
    assert named.jobs() == AFTER
    done = named.snakemake("--", *PRODUCTS)
    assert done.code == 0, done.text
    assert str(label) in facts(named)["dealt"]
