PYRAMID_QUALITY_FIGURES = tuple(
    (name, ending) for name in ("pyramid_deviation", "pyramid_drift") for ending in ("svg", "png")
)
PYRAMID_SLAB_VX = 16_000_000_000


def pyramid_slabs(plan):
    """Names of the slabs of a layer that are measured apart, as `slab_items` of the library makes them."""
    finest, coarsest = plan["scales"][0]["size_vx"], plan["scales"][-1]["size_vx"]
    slabs = min(-(-finest[0] * finest[1] * finest[2] // PYRAMID_SLAB_VX), max(coarsest))
    return [f"{slab}-{slabs}" for slab in range(slabs)]


def slabs_of_layer(wildcards):
    planned()
    pattern = f"{ROOT}/{{dataset}}/quality/{{layer}}/pyramid_quality/{{slab}}.parquet"
    return expand_layer(pattern, wildcards, slab=pyramid_slabs(layer_plan(wildcards)))


def runtime_of_slab(wildcards, attempt):
    """Resources function: minutes, some four times what was measured (70 ns per voxel of labels)."""
    x, y, z = layer_plan(wildcards)["scales"][0]["size_vx"]
    return (10 + int(x * y * z / int(wildcards.slab.split("-")[1]) * 3e-7 / 60)) * attempt


def memory_of_slab(wildcards, attempt):
    """Resources function: the process, a task of 8 million voxels with all its copies, and the chunks kept per mip."""
    plan = layer_plan(wildcards)
    channels, item = plan["source"]["channels"], int(plan["data_type"].lstrip("abcdefghijklmnopqrstuvwxyz")) // 8
    chunks = [s["chunk_vx"][0] * s["chunk_vx"][1] * s["chunk_vx"][2] * channels * item for s in plan["scales"]]
    kept = sum(max(96_000_000 >> min(mip, 3), 8 * chunk) for mip, chunk in enumerate(chunks))
    return int(300 + 8 * 45 * channels + kept / 1e6) * attempt


def pyramid_quality_figure(name, title, ending):
    return report(
        f"{ROOT}/figures/{{dataset}}.{{layer}}.{name}.{ending}",
        caption=f"../report/{name}.rst",
        category="Pyramid quality",
        labels={"dataset": "{dataset}", "layer": "{layer}", "figure": title, "file": ending},
    )
