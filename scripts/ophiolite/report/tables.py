"""Tables of the report, from the records that jobs leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

RULES = (
    "layer_info", "pyramid_blocks", "layer_done", "mesh_fragments", "mesh_index", "mesh_shards", "mesh_done",
    "skeleton_fragments", "skeleton_index", "skeleton_objects", "skeleton_shards", "skeleton_done",
    "skeleton_graph", "skeleton_swc", "label_stats", "object_table", "segment_properties", "annotation_layer",
)  # fmt: skip
STAGES = ("image pyramid", "label pyramid", "mesh", "skeleton", "objects", "annotations")
# What the paper's one number for a whole data set sums up.
PAPER_STAGES = ("label pyramid", "mesh", "skeleton")
PAPER_WHOLE = "labels, mesh, skeleton"
WHOLE = "whole"
JOB_COLUMNS = (
    "dataset", "stage", "rule", "seconds", "cpu_s", "peak_mb", "bytes", "files", "work_bytes", "work_files", "finished",
)  # fmt: skip
RULE_COLUMNS = ("stage", "rule", "jobs", "core_hours", "wall_s", "peak_mb")
STAGE_COLUMNS = (
    "dataset", "stage", "jobs", "voxels", "voxels_at_mip", "core_hours", "gvx_per_core_hour", "wall_s", "peak_mb",
    "bytes", "files", "bytes_per_mvx", "work_bytes", "work_files",
)  # fmt: skip
# Silversmith et al. 2022, section 3.2: data set S1, on 8 cores of an M1. GB are those of the finished layer.
PAPER_DATASET = "the paper: S1"
PAPER_GVX = 283.1
PAPER_S1: tuple[dict[str, Any], ...] = (
    {"stage": "label pyramid", "bytes": 5.4e9},
    # at 24 x 24 x 30 nm, out of 6 x 6 x 30
    {"stage": "mesh", "voxels_at_mip": PAPER_GVX * 1e9 / 16, "work_bytes": 4.6e9},
    {"stage": "skeleton", "bytes": 0.3e9},
    {"stage": PAPER_WHOLE, "core_hours": 36.0, "gvx_per_core_hour": 7.9, "bytes": 6.8e9},
)


def stage_of(rule: str, kind: str) -> str:
    """The stage a rule belongs to, for a layer of `kind`; label statistics are the first part of the objects."""
    if rule.startswith(("mesh_", "skeleton_")):
        return rule.partition("_")[0]
    if rule in ("label_stats", "object_table", "segment_properties"):
        return "objects"
    if rule == "annotation_layer":
        return "annotations"
    return "image pyramid" if kind == "image" else "label pyramid"


def rule_table(jobs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What each rule cost: a row per stage and rule, in the order in which they run, with columns `RULE_COLUMNS`.

    jobs : records with `JOB_COLUMNS`; `finished` is an ISO time. core_hours are of the processor, wall_s from the
    start of the first to the end of the last job, peak_mb of the largest job.
    """
    import pandas as pd

    records = _records(jobs)
    keys = sorted(
        set(zip(records["stage"], records["rule"], strict=True)),
        key=lambda key: (_place(STAGES, key[0]), _place(RULES, key[1]), key),
    )
    rows = []
    for stage, rule in keys:
        costs = _costs(records[(records["stage"] == stage) & (records["rule"] == rule)])
        rows.append({"stage": stage, "rule": rule, **{name: costs[name] for name in RULE_COLUMNS[2:]}})
    return pd.DataFrame(rows, columns=list(RULE_COLUMNS))


def stage_table(
    jobs: Sequence[Mapping[str, Any]],
    voxels: Mapping[tuple[str, str], int],
    voxels_at_mip: Mapping[tuple[str, str], int],
) -> pd.DataFrame:
    """What each stage of each dataset cost: columns `STAGE_COLUMNS`, per dataset a last row `whole`.

    jobs : as for `rule_table`. voxels : mip-0 voxels of the layers that a stage of a dataset is made of; those of the
    whole count each layer once. voxels_at_mip : those of the mip at which meshes or skeletons are made. `bytes` and
    `files` are what stands in the layers, `work_*` what lies under work/. Where a dataset has all that the paper's
    total sums up, a row `PAPER_WHOLE` stands before the last. Several datasets end in a row of all. The paper's rows
    are in `paper_table`.
    """
    import pandas as pd

    records = _records(jobs)
    rows = []
    for dataset in sorted(records["dataset"].unique()):
        of_dataset = records[records["dataset"] == dataset]
        for stages, name in _groups(set(of_dataset["stage"])):
            found = of_dataset[of_dataset["stage"].isin(stages)]
            rows.append(
                _stage(dataset, name, found, voxels.get((dataset, name), 0), voxels_at_mip.get((dataset, name)))
            )
    if records["dataset"].nunique() > 1:
        total = sum(count for (_, name), count in voxels.items() if name == WHOLE)
        rows.append(_stage("all", WHOLE, records, total, None))
    return pd.DataFrame(rows, columns=list(STAGE_COLUMNS))


def paper_table() -> pd.DataFrame:
    """The paper's figures of S1, with the columns of `stage_table`; what it does not say is left out."""
    import pandas as pd

    rows = []
    for row in PAPER_S1:
        per_mvx = row["bytes"] / (PAPER_GVX * 1000) if "bytes" in row else None
        rows.append({"dataset": PAPER_DATASET, "voxels": PAPER_GVX * 1e9, "bytes_per_mvx": per_mvx, **row})
    return pd.DataFrame(rows, columns=list(STAGE_COLUMNS))


def _groups(present: set[str]) -> Iterator[tuple[set[str], str]]:
    """(stages, name) of every row of a dataset."""
    for stage in STAGES:
        if stage in present:
            yield {stage}, stage
    if present.issuperset(PAPER_STAGES):
        yield set(PAPER_STAGES), PAPER_WHOLE
    yield present, WHOLE


def _stage(dataset: str, name: str, jobs: pd.DataFrame, voxels: int, at_mip: int | None) -> dict[str, Any]:
    costs = _costs(jobs)
    return {
        "dataset": dataset,
        "stage": name,
        "voxels": voxels,
        "voxels_at_mip": at_mip,
        "gvx_per_core_hour": voxels / 1e9 / max(costs["core_hours"], 1e-12) if voxels else None,
        "bytes_per_mvx": costs["bytes"] / (voxels / 1e6) if voxels else None,
        **costs,
    }


def _costs(jobs: pd.DataFrame) -> dict[str, Any]:
    return {
        "jobs": len(jobs),
        "core_hours": jobs["cpu_s"].sum() / 3600,
        "wall_s": (jobs["end"].max() - jobs["start"].min()).total_seconds(),
        "peak_mb": jobs["peak_mb"].max(),
        **{name: int(jobs[name].sum()) for name in ("bytes", "files", "work_bytes", "work_files")},
    }


def _records(jobs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    records = pd.DataFrame(list(jobs), columns=list(JOB_COLUMNS))
    end = pd.to_datetime(records["finished"], utc=True)
    return records.assign(end=end, start=end - pd.to_timedelta(records["seconds"], unit="s"))


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)
