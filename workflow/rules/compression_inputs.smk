import re

COMPRESSION_FIGURES = ("factor", "speed", "tradeoff")


def layers_compared():
    """(dataset, layer) of everything whose encodings are compared."""
    return [
        (dataset, layer)
        for dataset, data in planned()["datasets"].items()
        for layer, plan in data["layers"].items()
        if plan["kind"] in ("image", "segmentation")
    ]


def parts_of_compression(wildcards):
    """What was measured of every layer."""
    return [f"{ROOT}/{dataset}/quality/{layer}/compression_codec/all.parquet" for dataset, layer in layers_compared()]


def figures_of_compression(wildcards):
    """Every figure of every layer, as vector and as raster."""
    return [
        f"{ROOT}/figures/{dataset}.{layer}.compression_{name}.{ending}"
        for dataset, layer in layers_compared()
        for name in COMPRESSION_FIGURES
        for ending in ("svg", "png")
    ]


def memory_of_compression(wildcards, attempt):
    """Resources function: the box of voxels that is encoded, and as much as a process takes beside it."""
    plan = layer_plan(wildcards)
    x, y, z = plan["scales"][0]["size_vx"]
    voxels = min(x * y * z, the_plan()["config"]["compression"]["max_mvx"] * 1_000_000)
    bytes_per_voxel = int(re.sub("[a-z]", "", plan["data_type"])) // 8 * plan["source"]["channels"]
    return int(700 + 1.3 * voxels * bytes_per_voxel / 1e6) * attempt
