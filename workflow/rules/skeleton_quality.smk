SKELETON_QUALITY_FIGURES = (
    *(
        (f"skeleton_{name}", ending)
        for name in ("lee", "centring", "borders", "components")
        for ending in ("svg", "png")
    ),
    ("skeleton_worst", "png"),
)


def skeleton_quality_of_layer(wildcards):
    """What every merge job of a layer's skeletons measured."""
    planned()
    names = merge_job_names("skeleton")(layer_plan(wildcards))
    return expand_layer(f"{ROOT}/{{dataset}}/quality/{{layer}}/skeleton_quality/{{job}}.parquet", wildcards, job=names)


def skeleton_quality_figure(name, ending):
    """One figure of the report, with its caption."""
    return report(
        f"{ROOT}/figures/{{dataset}}.{{layer}}.{name}.{ending}",
        caption=f"../report/{name}.rst",
        category="Skeleton quality",
        labels={"dataset": "{dataset}", "layer": "{layer}", "figure": name.removeprefix("skeleton_"), "file": ending},
    )


def meshes_of_layer(wildcards):
    """The receipt of the meshes that skeletons are held against, where the layer has any."""
    planned()
    return expand_layer(receipt("mesh_done"), wildcards) if layer_plan(wildcards)["mesh"] else []


def minutes_of_skeleton_quality(wildcards, attempt):
    """Measuring skeletons takes about as long as tracing them; three times that, growing with each attempt."""
    traced, jobs = cost("skeleton_fragments", wildcards), layer_plan(wildcards)["skeleton"]["merge_jobs"]
    return max(10, int(3 * traced["seconds"] * traced["jobs"] / jobs / 60)) * attempt


rule skeleton_quality:
    input:
        receipt("layer_done"),
        receipt("skeleton_done"),
        meshes_of_layer,
    output:
        f"{ROOT}/{{dataset}}/quality/{{layer}}/skeleton_quality/{{job}}.parquet",
    log:
        log_of("skeleton_quality", "{job}"),
    benchmark:
        benchmark_of("skeleton_quality", "{job}")
    conda:
        "../../envs/skeleton_quality.yaml"
    threads: threads_of_jobs()
    resources:
        mem_mb=lambda wildcards, attempt: the_plan()["jobs"]["memory_mb"] * attempt,
        runtime=minutes_of_skeleton_quality,
        disk_mb=disk("skeleton_quality"),
    params:
        job=job_arguments,
        digest=digest("skeleton_quality"),
    shell:
        "python -m ophiolite skeleton_quality {params.job}" " --job {wildcards.job} --threads {threads} 2> {log:q}"


rule skeleton_quality_table:
    input:
        parts_of_quality("skeleton_quality", merge_job_names("skeleton")),
    output:
        csv=report(
            f"{ROOT}/tables/skeleton_quality.csv",
            caption="../report/skeleton_quality.rst",
            category="Skeleton quality",
            labels={"table": "skeletons"},
        ),
        parquet=f"{ROOT}/tables/skeleton_quality.parquet",
    log:
        f"{ROOT}/logs/skeleton_quality_table.log",
    benchmark:
        f"{ROOT}/benchmarks/skeleton_quality_table.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        plan=PLAN,
        digest=project_digest("skeleton_quality_table"),
    shell:
        "python -m ophiolite skeleton_quality_table --plan {params.plan:q} 2> {log:q}"


rule figure_skeleton_quality:
    input:
        skeleton_quality_of_layer,
    output:
        lee_svg=skeleton_quality_figure("skeleton_lee", "svg"),
        lee_png=skeleton_quality_figure("skeleton_lee", "png"),
        centring_svg=skeleton_quality_figure("skeleton_centring", "svg"),
        centring_png=skeleton_quality_figure("skeleton_centring", "png"),
        borders_svg=skeleton_quality_figure("skeleton_borders", "svg"),
        borders_png=skeleton_quality_figure("skeleton_borders", "png"),
        components_svg=skeleton_quality_figure("skeleton_components", "svg"),
        components_png=skeleton_quality_figure("skeleton_components", "png"),
        worst=skeleton_quality_figure("skeleton_worst", "png"),
    log:
        log_of("figure_skeleton_quality"),
    benchmark:
        benchmark_of("figure_skeleton_quality")
    conda:
        "../../envs/report.yaml"
    params:
        plan=PLAN,
        digest=project_digest("quality_page"),
    script:
        "../../scripts/figures/figure_skeleton_quality.py"
