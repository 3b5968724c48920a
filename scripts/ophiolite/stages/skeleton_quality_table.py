"""The table of skeleton quality: its columns."""

from __future__ import annotations

from ophiolite.stages.tables import ObjectTable

# Arrow types, in the order of the table.
COLUMNS = {
    "dataset": "string", "layer": "string", "label": "uint64", "status": "string", "faults": "string",
    "gravity": "int64", "voxels": "int64", "filled_vx": "int64",
    "vertices": "int64", "cable_um": "float64", "terminals": "int64", "branch_points": "int64", "components": "int64",
    "loops": "int64",
    "lee_cable_um": "float64", "lee_terminals": "int64", "lee_branch_points": "int64", "lee_components": "int64",
    "lee_loops": "int64", "cable_ratio": "float64", "centroid_lee_nm": "float64", "centroid_lee_vx": "float64",
    "centroid_object_nm": "float64",
    "object_components": "int64", "components_missed": "int64", "components_short": "int64",
    "components_split": "int64",
    "outside_label": "int64", "outside_label_share": "float64",
    "mesh_tested": "int64", "outside_mesh": "int64", "outside_mesh_share": "float64",
    "outside_mesh_max_nm": "float64",
    "ridge_mean_nm": "float64", "ridge_p95_nm": "float64",
    "radius_error_mean_nm": "float64", "radius_error_p95_nm": "float64", "radius_error_share": "float64",
    "coverage": "float64",
    "border_faces": "int64", "border_uncrossed": "int64", "border_broken": "int64", "border_doubled": "int64",
    "border_parallel": "int64", "border_spurs": "int64",
    "truth_mean_nm": "float64", "truth_p95_nm": "float64", "truth_branches": "int64", "truth_missed": "int64",
    "truth_false": "int64",
}  # fmt: skip
TABLE = ObjectTable("skeleton", COLUMNS)
