import os
import re

from snakemake.exceptions import WorkflowError

# What SSIM of two planes takes per voxel of a plane, and the copies of a chunk between its voxels and its bytes.
PLANE_BYTES = 128
CODEC_BUFFERS = 8
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
    settings = the_plan()["config"]["compression"]
    x, y, z = box_compared((x, y, z), settings["max_mvx"] * 1_000_000)
    deepest = max(chunk[2] for chunk in settings["chunk_vx"])
    largest = max(a * b * c for a, b, c in settings["chunk_vx"])
    bytes_per_voxel = int(re.sub("[a-z]", "", plan["data_type"])) // 8 * plan["source"]["channels"]
    voxels = 1.3 * x * y * z + x * y * min(z, deepest) + CODEC_BUFFERS * largest
    return int(700 + (voxels * bytes_per_voxel + PLANE_BYTES * x * y) / 1e6) * attempt


def box_compared(size_vx, most):
    """Lengths of the box of voxels that is compared: the long axes are cut to one length."""
    lengths, left = [0, 0, 0], most
    for done, axis in enumerate(sorted(range(3), key=lambda axis: size_vx[axis])):
        lengths[axis] = min(size_vx[axis], int(left ** (1 / (3 - done))) + 1)
        left /= lengths[axis]
    return lengths


def cores_of_compression(wildcards):
    """Threads function: all cores of this machine, so that nothing else runs beside it.

    An executor of a cluster may know no number of cores, or one of the whole cluster, which no node of it has.
    """
    try:
        return min(workflow.cores, os.cpu_count())
    except WorkflowError:
        return 1
