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


def pyramid_quality_figure(name, title, ending):
    return report(
        f"{ROOT}/figures/{{dataset}}.{{layer}}.{name}.{ending}",
        caption=f"../report/{name}.rst",
        category="Pyramid quality",
        labels={"dataset": "{dataset}", "layer": "{layer}", "figure": title, "file": ending},
    )


rule pyramid_quality:
    input:
        receipt("layer_info"),
        receipt("layer_done"),
    output:
        f"{ROOT}/{{dataset}}/quality/{{layer}}/pyramid_quality/{{slab}}.parquet",
    log:
        log_of("pyramid_quality", "{slab}"),
    benchmark:
        benchmark_of("pyramid_quality", "{slab}")
    wildcard_constraints:
        slab=r"[0-9]+-[0-9]+",
    conda:
        "../../envs/volume.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 900 * attempt,
        runtime=runtime_of_slab,
        disk_mb=100,
    params:
        job=job_arguments,
        digest=digest("pyramid_quality"),
    shell:
        "python -m ophiolite pyramid_quality {params.job} --slab {wildcards.slab} 2> {log:q}"


rule pyramid_quality_table:
    input:
        parts_of_quality("pyramid_quality", pyramid_slabs),
    output:
        csv=report(
            f"{ROOT}/tables/pyramid_quality.csv",
            caption="../report/pyramid_quality.rst",
            category="Pyramid quality",
            labels={"table": "mips"},
        ),
        parquet=f"{ROOT}/tables/pyramid_quality.parquet",
    log:
        f"{ROOT}/logs/pyramid_quality_table.log",
    benchmark:
        f"{ROOT}/benchmarks/pyramid_quality_table.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        plan=PLAN,
        digest=project_digest("pyramid_quality_table"),
    shell:
        "python -m ophiolite pyramid_quality_table --plan {params.plan:q} 2> {log:q}"


rule figure_pyramid_quality:
    input:
        slabs_of_layer,
    output:
        deviation_svg=pyramid_quality_figure("pyramid_deviation", "deviation per mip", "svg"),
        deviation_png=pyramid_quality_figure("pyramid_deviation", "deviation per mip", "png"),
        drift_svg=pyramid_quality_figure("pyramid_drift", "drift over mips", "svg"),
        drift_png=pyramid_quality_figure("pyramid_drift", "drift over mips", "png"),
    log:
        log_of("figure_pyramid_quality"),
    benchmark:
        benchmark_of("figure_pyramid_quality")
    conda:
        "../../envs/report.yaml"
    params:
        plan=PLAN,
        digest=digest("pyramid_figures"),
    script:
        "../../scripts/figures/figure_pyramid_quality.py"
