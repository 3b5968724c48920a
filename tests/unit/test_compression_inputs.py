"""What the rule of the benchmark of encodings asks for."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.exceptions import WorkflowError

from ophiolite.geometry import Box, Vec
from ophiolite.stages.compression_codec import centred_box

RULES = Path(__file__).resolve().parent.parent.parent / "workflow" / "rules" / "compression_inputs.smk"


class Unknown:
    """A workflow that was started without a number of cores."""

    @property
    def cores(self) -> int:
        raise WorkflowError("Workflow requires a total number of cores")


def functions(**known: Any) -> dict[str, Any]:
    exec(compile(RULES.read_text(), str(RULES), "exec"), known)
    return known


def test_no_more_threads_than_the_machine_has() -> None:
    assert functions(workflow=SimpleNamespace(cores=500_000))["cores_of_compression"](None) == os.cpu_count()
    assert functions(workflow=SimpleNamespace(cores=1))["cores_of_compression"](None) == 1
    assert functions(workflow=Unknown())["cores_of_compression"](None) == 1


@pytest.mark.parametrize("size", [(1250, 1250, 125), (9000, 8000, 16), (3000, 3000, 3000), (64, 64, 64)])
def test_the_box_of_the_memory_is_no_smaller_than_that_encoded(size: Vec) -> None:
    said = functions()["box_compared"](size, 128_000_000)
    box = centred_box(Box.of((0, 0, 0), size), 128_000_000, (1, 1, 1)).shape
    assert all(0 <= a - b <= 1 for a, b in zip(said, box, strict=True))


def test_memory_is_that_of_the_volume_a_slab_and_planes() -> None:
    plan = {"scales": [{"size_vx": (512, 512, 256)}], "data_type": "uint64", "source": {"channels": 1}}
    config = {"config": {"compression": {"max_mvx": 128, "chunk_vx": [[64, 64, 64]]}}}
    found = functions(layer_plan=lambda wildcards: plan, the_plan=lambda: config)["memory_of_compression"](None, 1)
    plane = 512 * 512
    assert found >= 700 + (plane * 256 * 8 + plane * 64 * 8 + plane * 100) / 1e6
