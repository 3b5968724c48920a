"""After `clean_work` the project is finished as before; what needs a removed file says how to remake it."""

from __future__ import annotations

import re

from workspace import Workspace


def test_a_cleaned_project_is_finished_and_says_how_to_go_on(workspace: Workspace) -> None:
    cleaned = workspace.snakemake("clean_work")
    assert cleaned.code == 0, cleaned.text
    left = {path.name for path in (workspace.project / "d" / "work" / "neurons").iterdir()}
    assert left == {"cleaned.json", "label_stats", "mesh_measures", "skeleton_measures"}
    assert workspace.jobs() == {}

    changed = workspace.changed("datasets.d.layers.neurons.mesh.draco_level", 3)
    failed = changed.snakemake("--", "mesh")
    assert failed.code == 1
    assert re.search(r"mesh_index\.npy: is missing\. Remake it: add --forcerun mesh_fragments", failed.text), (
        failed.text
    )
    remade = changed.snakemake("--forcerun", "mesh_fragments", "--", "mesh")
    assert remade.code == 0, remade.text
    assert changed.jobs("mesh") == {}
