"""The table of mesh quality: its columns."""

from __future__ import annotations

from ophiolite.stages.tables import ObjectTable

# Arrow types; those of `lod_` columns are of lists, a value per level of detail, the finest first.
COLUMNS = {
    "dataset": "string", "layer": "string", "label": "uint64", "status": "string", "gravity": "int64",
    "faults": "string",
    "voxels": "int64", "at_edge": "bool", "open_by_design": "bool", "mesh_mip_voxels": "int64", "filled_vx": "int64",
    "voxel_volume_um3": "float64",
    "volume_ratio": "float64", "raw_volume_ratio": "float64", "lewiner_volume_ratio": "float64",
    "centroid_vx": "float64", "raw_centroid_vx": "float64", "lewiner_centroid_vx": "float64",
    "is_volume": "bool", "watertight": "bool", "winding_consistent": "bool",
    "open_edges": "int64", "crowded_edges": "int64", "torn_edges": "int64",
    "flat_faces": "int64", "duplicate_faces": "int64",
    "components": "int64", "raw_components": "int64", "lewiner_components": "int64",
    "genus": "int64", "raw_genus": "int64", "lewiner_genus": "int64",
    "faces": "int64", "raw_faces": "int64", "lewiner_faces": "int64",
    "raw_is_volume": "bool", "lewiner_is_volume": "bool", "raw_open_edges": "int64", "lewiner_open_edges": "int64",
    "distance_mean_nm": "float64", "distance_p95_nm": "float64", "distance_max_nm": "float64",
    "lewiner_mean_nm": "float64", "lewiner_p95_nm": "float64", "lewiner_max_nm": "float64",
    "lod_faces": "int64", "lod_scale_nm": "float64", "lod_components": "int64", "lod_watertight": "bool",
    "lod_mean_nm": "float64", "lod_p95_nm": "float64", "lod_max_nm": "float64",
}  # fmt: skip
TABLE = ObjectTable("mesh", COLUMNS, lists="lod_")
