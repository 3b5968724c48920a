"""What the jobs of a project took: one row per job; and per stage, next to the paper's figures."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ophiolite.errors import LayerError, explain
from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Store
from ophiolite.parquet import read_frame
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.model import ProjectPlan, Refused, VolumePlan
from ophiolite.plan.paper_scale import paper_scale
from ophiolite.plan.table import text_table
from ophiolite.report.page import Table, human_bytes, human_time
from ophiolite.report.tables import PAPER_STAGES, PAPER_WHOLE, WHOLE, paper_table, stage_of, stage_table

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "dataset", "layer", "stage", "rule", "item", "seconds", "cpu_s", "peak_mb", "bytes", "files", "work_bytes",
    "work_files", "work", "speed_key", "threads", "host", "python", "ophiolite", "finished",
)  # fmt: skip
STAGE_HEADERS = (
    "dataset", "stage", "GVx", "at its mip", "core-h", "GVx/core-h", "wall time", "peak", "in layers", "files",
    "per MVx", "work",
)  # fmt: skip
ASSUMED = (
    "Extrapolated from the processor time of this project's jobs, on processors and data like these; the paper's work"
    " ran on others. It names neither volume nor mip with these rows: taken are the largest volume it names, the share"
    " of voxels that S1 was meshed at, and as many meshes as skeletons."
)
SCALE_HEADERS = ("minnie65", "the paper", "estimate", "unit", "speed", "of")


def read_timings(plan: ProjectPlan, store: Store) -> list[dict[str, Any]]:
    """One row per finished job of the plan's layers, with `COLUMNS`, in the order of dataset, rule, layer, item.

    `bytes` and `files` are what stands in the layers and tables, `work_*` what lies under work/; a job without a
    receipt is not finished, or of a plan before this one. Raises LayerError where a timing is damaged.
    """
    rows = []
    for dataset, data in plan.datasets.items():
        for number, text in enumerate(store.read_all(f"{dataset}/timings")):
            row = _timing(store, f"{dataset}/timings", number, text)
            layer = data.layers.get(row["layer"])
            receipt = LayerPaths(dataset, row["layer"]).receipt(row["rule"], row["item"])
            if layer is None or isinstance(layer, Refused) or not store.exists(receipt):
                continue
            files = read_receipt(store, receipt).files
            work = [f.size_bytes for f in files if f.path.startswith(f"{dataset}/work/")]
            rows.append(
                {
                    **row,
                    "stage": stage_of(row["rule"], layer.kind),
                    "bytes": sum(f.size_bytes for f in files) - sum(work),
                    "files": len(files) - len(work),
                    "work_bytes": sum(work),
                    "work_files": len(work),
                }
            )
    return sorted(rows, key=lambda r: (r["dataset"], r["rule"], r["layer"], r["item"]))


def _timing(store: Store, folder: str, number: int, text: bytes) -> dict[str, Any]:
    """The timing in the `number`th file of a folder."""
    try:
        row: dict[str, Any] = json.loads(text)
        missing = set(COLUMNS) - {"stage", "work_bytes", "work_files"} - set(row)
        if missing:
            raise ValueError(f"without {', '.join(sorted(missing))}")
    except (ValueError, TypeError) as error:
        path = list(store.list(folder))[number]
        do = "Delete it: the tables then lack this job, and nothing else"
        raise LayerError(explain(store.place(path), f"is no timing ({error})", do=do)) from None
    return row


def stages_of(plan: ProjectPlan, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The table of stages of a project, from the rows of its jobs."""
    voxels: dict[tuple[str, str], int] = {}
    at_mip: dict[tuple[str, str], int] = {}
    for dataset, data in plan.datasets.items():
        for layer in data.layers.values():
            if not isinstance(layer, VolumePlan):
                continue
            pyramid = stage_of("pyramid_blocks", layer.kind)
            stages = [WHOLE, pyramid, *(name for name, _ in layer.products())]
            stages += ["objects", PAPER_WHOLE] if pyramid in PAPER_STAGES else []
            for stage in stages:
                voxels[dataset, stage] = voxels.get((dataset, stage), 0) + layer.scales[0].box.volume
            for name, product in layer.products():
                at_mip[dataset, name] = at_mip.get((dataset, name), 0) + layer.scales[product.mip].box.volume
    return stage_table(rows, voxels, at_mip)


def write_tables(plan: ProjectPlan, store: Store) -> None:
    """Write tables/timings, stages (the paper's rows at its end) and paper_scale, as CSV and Parquet."""
    import pandas as pd

    rows = read_timings(plan, store)
    _write(store, "timings", pd.DataFrame(rows, columns=list(COLUMNS)))
    _write(store, "stages", with_paper(stages_of(plan, rows)))
    _write(store, "paper_scale", scale_table(rows))


def with_paper(stages: pd.DataFrame) -> pd.DataFrame:
    """The table of stages, the paper's rows at its end."""
    import pandas as pd

    # without types, else what the paper does not say would turn whole numbers into others
    both = pd.concat([stages.astype(object), paper_table().astype(object)], ignore_index=True)
    return both.convert_dtypes()


def scale_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The paper's largest work next to the plan's estimate, from the processor time of this project's jobs."""
    import pandas as pd

    done: dict[str, tuple[float, float]] = {}
    for row in rows:
        if row["work"] > 0:
            seconds, work = done.get(row["speed_key"], (0.0, 0.0))
            done[row["speed_key"]] = (seconds + row["cpu_s"], work + row["work"])
    speeds = Speeds({key: seconds / work for key, (seconds, work) in sorted(done.items())})
    return pd.DataFrame([asdict(row) for row in paper_scale(speeds)])


def cost_tables(plan: ProjectPlan, rows: Sequence[Mapping[str, Any]]) -> list[Table]:
    """What the report page says of costs, from the rows of the jobs."""
    note = (
        "GVx are thousand million voxels of mip 0; meshes and skeletons are made of those at their mip, fewer the"
        " coarser it is. Core-hours are processor time of all jobs; those of compiling kernels once per machine are not"
        " among them. Wall time runs from the start of the first job of a stage to the end of its last, pauses"
        " included. Peak memory is that of the largest job. The paper's rows are what"
        " Silversmith et al. 2022 say of their data set S1."
    )
    tables = " Tables: tables/stages.csv, tables/paper_scale.csv, and a row per job in tables/timings.csv."
    scale_title = "The paper's largest work (section 3.3), and the plan's model for the same sizes"
    return [
        Table(STAGE_HEADERS, stage_rows(with_paper(stages_of(plan, rows))), (0, 1), "Stages", note),
        Table(SCALE_HEADERS, scale_rows(scale_table(rows)), (0, 3, 4, 5), scale_title, ASSUMED + tables),
    ]


def _write(store: Store, name: str, table: pd.DataFrame) -> None:
    binary = io.BytesIO()
    table.to_parquet(binary, compression="zstd", index=False)
    store.write(f"tables/{name}.csv", table.to_csv(index=False, lineterminator="\n").encode())
    store.write(f"tables/{name}.parquet", binary.getvalue())


def stage_rows(stages: pd.DataFrame) -> list[tuple[str, ...]]:
    """The table of stages for reading, under `STAGE_HEADERS`; empty cells where nothing is known."""
    import pandas as pd

    formats: dict[str, Callable[[Any], str]] = {
        "dataset": str,
        "stage": str,
        "voxels": lambda voxels: f"{voxels / 1e9:.4g}" if voxels else "",
        "voxels_at_mip": lambda voxels: f"{voxels / 1e9:.4g}",
        "core_hours": "{:.3g}".format,
        "gvx_per_core_hour": "{:.3g}".format,
        "wall_s": human_time,
        "peak_mb": "{:,.0f} MB".format,
        "bytes": human_bytes,
        "files": "{:,.0f}".format,
        "bytes_per_mvx": human_bytes,
        "work_bytes": human_bytes,
    }
    return [
        tuple("" if pd.isna(row[name]) else show(row[name]) for name, show in formats.items())
        for row in stages.to_dict("records")
    ]


def scale_rows(scale: pd.DataFrame) -> list[tuple[str, ...]]:
    """The paper's largest work for reading, under `SCALE_HEADERS`."""
    import pandas as pd

    def speed(row: Mapping[Any, Any]) -> str:
        if pd.isna(row["speed"]):
            return "the plan's model"
        unit = "s/MVx" if row["quantity"].endswith("fragments") else "s/object"
        return f"{row['speed']:.3g} {unit}, {'measured here' if row['measured'] else 'the plan constant'}"

    return [
        (
            r["quantity"],
            "" if pd.isna(r["paper"]) else f"{r['paper']:,.10g}",
            f"{_three_digits(r['estimate']):,.10g}" if r["unit"] != "files" else f"{r['estimate']:,.0f}",
            r["unit"],
            speed(r),
            r["work"],
        )
        for r in scale.to_dict("records")
    ]


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")


def timings_text(folder: Path) -> str:
    """The tables of a project folder as text, and where they lie."""
    stages, scale = (read_frame(folder / f"tables/{name}.parquet") for name in ("stages", "paper_scale"))
    lines = [
        *text_table(STAGE_HEADERS, stage_rows(stages)),
        "",
        "The paper's largest work, and what the plan's model says of the same sizes. " + ASSUMED,
        "",
        *text_table(SCALE_HEADERS, scale_rows(scale)),
        "",
        *(f"{folder}/tables/{name}.csv, .parquet" for name in ("stages", "paper_scale", "timings")),
    ]
    return "\n".join(lines) + "\n"
