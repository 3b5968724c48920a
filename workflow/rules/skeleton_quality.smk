include: "skeleton_quality_inputs.smk"


rule skeleton_quality:
    input:
        receipt("layer_done"),
        receipt("skeleton_done"),
        object_jobs_of_product("skeleton"),
        meshes_of_layer,
    output:
        f"{ROOT}/{{dataset}}/quality/{{layer}}/skeleton_quality/{{job}}.parquet",
    log:
        log_of("skeleton_quality", "{job}"),
    benchmark:
        benchmark_of("skeleton_quality", "{job}")
    conda:
        "../../envs/skeleton_quality.yaml"
    resources:
        mem_mb=with_snakemake(lambda wildcards, attempt: the_plan()["jobs"]["memory_mb"] * attempt),
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
        flagged=f"{ROOT}/tables/skeleton_whole_labels.yaml",
    log:
        f"{ROOT}/logs/skeleton_quality_table.log",
    benchmark:
        f"{ROOT}/benchmarks/skeleton_quality_table.tsv"
    conda:
        "../../envs/tables.yaml"
    resources:
        mem_mb=with_snakemake(memory_of_table("skeleton")),
        runtime=minutes_of_table("skeleton"),
    params:
        plan=PLAN_FILE,
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
    resources:
        mem_mb=with_snakemake(memory_of_quality_figure("skeleton")),
        runtime=minutes_of_quality_figure,
    params:
        plan=PLAN_FILE,
        digest=project_digest("quality_page"),
    script:
        "../../scripts/figures/figure_skeleton_quality.py"
