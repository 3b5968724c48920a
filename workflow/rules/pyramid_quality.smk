include: "pyramid_quality_inputs.smk"


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
        mem_mb=with_snakemake(memory_of_slab),
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
    resources:
        mem_mb=with_snakemake(memory_of_table("pyramid")),
        runtime=minutes_of_table("pyramid"),
    params:
        plan=PLAN_FILE,
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
    resources:
        mem_mb=with_snakemake(memory_of_quality_figure("pyramid")),
        runtime=minutes_of_quality_figure,
    params:
        plan=PLAN_FILE,
        digest=digest("pyramid_figures"),
    script:
        "../../scripts/figures/figure_pyramid_quality.py"
