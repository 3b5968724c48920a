"""What the quality page says of meshes, computed from their table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan
from ophiolite.report.mesh_quality_figures import LEAST_NM, PAPER_CENTROID_VX, WORST, complaint, worst
from ophiolite.report.page import Figure, Section, Table
from ophiolite.stages.mesh_quality_table import TABLE

if TYPE_CHECKING:
    import pandas as pd

FIGURES = {
    "mesh_volume": (
        "Volume",
        "Of each mesh over its voxels. Points are objects, lines medians; below, histograms by size of object. "
        "Marching cubes cut the corners of voxels, which takes much of a small object whatever the tool.",
    ),
    "mesh_centroid": ("Centroids", "Distance between the centroid of a mesh and that of its voxels."),
    "mesh_distance": (
        "Levels of detail",
        "Distance of every level from the surface before simplification, and of level 0 from scikit-image's. Box: "
        "quartiles of objects; bar: median; line: 5th to 95th percentile; dot: the farthest. A coarse level leaves out "
        "parts smaller than what it errs: the largest distance is then how far they lay from the rest. Objects that "
        f"simplification moved nowhere by {LEAST_NM:g} nm are not among them.",
    ),
}
CURES = {
    "box too large": "Objects whose box is too large are measured with a larger quality.max_box_mvx.",
    "surface too large": "Objects whose surface is too large for the memory of a job are measured with a larger "
    "jobs.memory_mb.",
    "without voxels at the mesh mip": "Objects without voxels at the mesh mip do have a mesh, so that mip was damaged "
    "or changed since: remake the layer.",
    "cannot be read": "What cannot be read is damaged in the store; tables/mesh_quality.csv says in `faults` what and "
    "where.",
}
LARGE_VX = 10_000
LISTED = 20
LINKS = (
    f"The links under the gallery of the {WORST} worst objects open the viewer on the object. They work when this page "
    "is opened through `make view RESULTS={results}`, at /quality.html of the address that it prints."
)


def mesh_section(plan: ProjectPlan, store: Store) -> Section:
    """The section of meshes: text, the table of measures beside the paper's, what has no mesh, and figures by layer."""
    tables = TABLE.frames(plan, store)
    text = [paragraph for place, table in tables.items() for paragraph in _paragraphs("/".join(place), table)]
    return Section(
        key="meshes",
        title="Meshes",
        text=[*text, LINKS.format(results=plan.folder)],
        tables=[_measures({"/".join(place): table for place, table in tables.items()}), *_missing(tables)],
        figures=[figure for place, table in tables.items() for figure in _figures(store, *place, table)],
    )


def _paragraphs(name: str, table: pd.DataFrame) -> Iterator[str]:
    measured = table[table["status"] == "measured"]
    states = table.loc[table["status"] != "measured", "status"].astype(str).tolist()
    others = ", ".join(f"{states.count(state):,} {state}" for state in sorted(set(states)))
    were = "object was" if len(table) == 1 else "objects were"
    yield f"{name}: {len(measured):,} of {len(table):,} {were} measured" + (f" ({others})." if others else ".")
    if not len(measured):
        return
    faulty = int((table["gravity"] > 0).sum())
    tight, volume = int(measured["watertight"].sum()), int(measured["is_volume"].sum())
    text = f"{_share(tight, len(measured))} of their meshes are watertight; "
    text += f"{_share(volume, len(measured)).lower()} have one orientation too and enclose a volume. "
    text += f"{faulty:,} show{'s' * (faulty == 1)} a fault." if faulty else "None shows a fault."
    open_ones = int((measured["open_by_design"]).sum())
    if open_ones:
        are, their = ("is", "its volume is") if open_ones == 1 else ("are", "their volumes are")
        text += f" {open_ones:,} {are} open at the dataset's faces, as open_edges asks; {their} not compared."
    if int((measured["filled_vx"] > 0).sum()):
        text += " Cavities were filled, as fill_holes asks; volumes are compared with the filled objects."
    yield text
    ratio = measured.dropna(subset=["volume_ratio"]).sort_values(["volume_ratio", "label"])
    if len(ratio):
        low, high = ratio.to_dict("records")[0], ratio.to_dict("records")[-1]
        medians = [ratio[f"{prefix}volume_ratio"].median() for prefix in ("", "raw_", "lewiner_")]
        large = ratio.loc[ratio["voxels"] >= LARGE_VX, "volume_ratio"]
        of_large = f", {large.median():.1%} in the {len(large):,} of {LARGE_VX:,} voxels or more" if len(large) else ""
        yield (
            f"A mesh holds {medians[0]:.1%} of the volume of its voxels in the median of all objects{of_large}, from "
            f"{_extreme(low)} to {_extreme(high)}; before simplification {medians[1]:.1%}, with scikit-image "
            f"{medians[2]:.1%}. Meshes close at the dataset's faces where the outermost voxels end."
        )


def _extreme(row: dict[Any, Any]) -> str:
    # Where a row of the table has no voxels, the column is of floats.
    count = int(row["voxels"])
    return f"{row['volume_ratio']:.1%} (object {row['label']}, {count:,} voxel{'s' * (count != 1)})"


def _measures(tables: dict[str, pd.DataFrame]) -> Table:
    measured = [table[table["status"] == "measured"] for table in tables.values()]
    rows = [(name, *(_value(value(t)) for t in measured), paper) for name, value, paper in _ROWS]
    return Table(
        ("measure", *tables, "Silversmith et al. 2022"),
        rows,
        text_columns=(0, len(tables) + 1),
        title="Beside the paper",
        note="The paper measured 37,366 objects of CREMI A, other data than these; a dash is what it does not say. "
        f"Large objects have {LARGE_VX:,} voxels or more.",
    )


def _of_large(column: str, statistic: str = "median") -> Any:
    return lambda t: getattr(t.loc[t["voxels"] >= LARGE_VX, column].dropna(), statistic)()


_ROWS: tuple[tuple[str, Any, str], ...] = (
    ("objects measured", len, "37,366"),
    ("watertight, %", lambda t: 100 * t["watertight"].mean(), "100"),
    ("volumes (is_volume), %", lambda t: 100 * t["is_volume"].mean(), "100"),
    ("volume over voxels, large objects, median %", lambda t: 100 * _of_large("volume_ratio")(t), "90 to 95"),
    ("the same before simplification", lambda t: 100 * _of_large("raw_volume_ratio")(t), "–"),
    ("the same by scikit-image (Lewiner)", lambda t: 100 * _of_large("lewiner_volume_ratio")(t), "–"),
    ("objects simplified to no volume", lambda t: int((t["volume_ratio"] <= 0).sum()), "some small ones"),
    ("centroid distance, mean, voxels", lambda t: t["centroid_vx"].mean(), f"{PAPER_CENTROID_VX:g}"),
    ("centroid distance, largest, voxels", lambda t: t["centroid_vx"].max(), "–"),
    ("distance from the unsimplified surface, mean, nm", lambda t: t["distance_mean_nm"].mean(), "–"),
    ("its 95th percentile, largest of all objects, nm", lambda t: t["distance_p95_nm"].max(), "–"),
    ("its largest value, nm", lambda t: t["distance_max_nm"].max(), "–"),
    ("distance from scikit-image's surface, mean, nm", lambda t: t["lewiner_mean_nm"].mean(), "–"),
    (
        "triangles before simplification over those stored",
        lambda t: t["raw_faces"].sum() / max(t["faces"].sum(), 1),
        "–",
    ),
    ("objects whose parts or handles simplification changed", lambda t: int(_reshaped(t).sum()), "–"),
    (
        "objects whose coarser levels leave small parts out",
        lambda t: int(t["lod_components"].map(_left_out).sum()),
        "–",
    ),
    ("duplicate faces", lambda t: int(t["duplicate_faces"].sum()), "–"),
    ("faces without area", lambda t: int(t["flat_faces"].sum()), "–"),
)


def _reshaped(table: pd.DataFrame) -> Any:
    both = table["genus"].notna() & table["raw_genus"].notna()
    return (table["components"] != table["raw_components"]) | (both & (table["genus"] != table["raw_genus"]))


def _left_out(components: Any) -> bool:
    return bool(min(components) < components[0])


def _missing(tables: dict[tuple[str, str], pd.DataFrame]) -> Iterator[Table]:
    """Objects with voxels but no mesh, those too large to be measured or damaged, the largest first; what to do."""
    rows = []
    for place, table in tables.items():
        found = table[table["status"] != "measured"].sort_values(["voxels", "label"], ascending=[False, True])
        for state in sorted(set(found["status"].astype(str))):
            of_state = found[found["status"] == state]
            labels = ", ".join(str(label) for label in of_state["label"].head(LISTED))
            more = ", …" if len(of_state) > LISTED else ""
            rows.append(("/".join(place), state, f"{len(of_state):,}", labels + more))
    if rows:
        headers = ("layer", "why", "objects", f"which, the largest {LISTED} at most")
        note = " ".join(do for state, do in CURES.items() if any(row[1] == state for row in rows))
        yield Table(headers, rows, text_columns=(0, 1, 3), title="Objects not measured", note=note)


def _figures(store: Store, dataset: str, layer: str, table: pd.DataFrame) -> Iterator[Figure]:
    for name, (title, caption) in FIGURES.items():
        path = store.local(f"figures/{dataset}.{layer}.{name}.svg")
        yield Figure(f"{title}: {dataset}/{layer}.", caption, path)
    rows = worst(table).to_dict("records")
    links = [(str(row["label"]), f"object?dataset={dataset}&layer={layer}&label={row['label']}") for row in rows]
    caption = f"The worst: {complaint(rows[0])} ({rows[0]['label']}). In the viewer:" if rows else "None was measured."
    yield Figure(
        f"Worst objects: {dataset}/{layer}.",
        caption,
        store.local(f"figures/{dataset}.{layer}.mesh_worst.png"),
        links=links,
    )


def _share(part: int, whole: int) -> str:
    return "All" if part == whole else f"{part:,} of {whole:,} ({part / whole:.2%})"


def _value(value: Any) -> str:
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return "–" if value is None or not np.isfinite(value) else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
