include: "mesh_quality_inputs.smk"


rule mesh_quality:
    input:
        receipt("layer_done"),
        receipt("mesh_done"),
    output:
        f"{ROOT}/{{dataset}}/quality/{{layer}}/mesh_quality/{{job}}.parquet",
    log:
        log_of("mesh_quality", "{job}"),
    benchmark:
        benchmark_of("mesh_quality", "{job}")
    conda:
        "../../envs/mesh_quality.yaml"
    resources:
        mem_mb=with_snakemake(lambda wildcards, attempt: the_plan()["jobs"]["memory_mb"] * attempt),
        runtime=mesh_quality_minutes,
        disk_mb=disk("mesh_quality"),
    params:
        job=job_arguments,
        digest=digest("mesh_quality"),
    shell:
        "python -m ophiolite mesh_quality {params.job}" " --job {wildcards.job} --threads {threads} 2> {log:q}"


rule mesh_quality_table:
    input:
        parts_of_quality("mesh_quality", merge_job_names("mesh")),
    output:
        csv=report(
            f"{ROOT}/tables/mesh_quality.csv",
            caption="../report/mesh_quality.rst",
            category="Mesh quality",
            labels={"table": "meshes"},
        ),
        parquet=f"{ROOT}/tables/mesh_quality.parquet",
    log:
        f"{ROOT}/logs/mesh_quality_table.log",
    benchmark:
        f"{ROOT}/benchmarks/mesh_quality_table.tsv"
    conda:
        "../../envs/tables.yaml"
    resources:
        mem_mb=with_snakemake(memory_of_table("mesh")),
        runtime=minutes_of_table("mesh"),
    params:
        plan=PLAN_FILE,
        digest=project_digest("mesh_quality_table"),
    shell:
        "python -m ophiolite mesh_quality_table --plan {params.plan:q} 2> {log:q}"


rule figure_mesh_quality:
    input:
        mesh_quality_of_layer,
    output:
        volume_svg=mesh_quality_figure("mesh_volume", "svg"),
        volume_png=mesh_quality_figure("mesh_volume", "png"),
        centroid_svg=mesh_quality_figure("mesh_centroid", "svg"),
        centroid_png=mesh_quality_figure("mesh_centroid", "png"),
        distance_svg=mesh_quality_figure("mesh_distance", "svg"),
        distance_png=mesh_quality_figure("mesh_distance", "png"),
        worst=mesh_quality_figure("mesh_worst", "png"),
    log:
        log_of("figure_mesh_quality"),
    benchmark:
        benchmark_of("figure_mesh_quality")
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=with_snakemake(memory_of_quality_figure("mesh")),
        runtime=minutes_of_quality_figure,
    params:
        plan=PLAN_FILE,
        digest=project_digest("quality_page"),
    script:
        "../../scripts/figures/figure_mesh_quality.py"
