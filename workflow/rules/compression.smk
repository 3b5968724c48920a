include: "compression_inputs.smk"


rule compression:
    input:
        f"{ROOT}/tables/compression.csv",
        f"{ROOT}/tables/compression.parquet",
        figures_of_compression,
        f"{ROOT}/compression.html",
        refused_layers,


# It takes all cores of the local machine so that nothing else runs beside it, and uses one.
rule compression_codec:
    input:
        receipt("layer_done"),
    output:
        f"{ROOT}/{{dataset}}/quality/{{layer}}/compression_codec/all.parquet",
    log:
        log_of("compression_codec"),
    benchmark:
        benchmark_of("compression_codec")
    conda:
        "../../envs/volume.yaml"
    threads: cores_of_compression
    resources:
        mem_mb=with_snakemake(memory_of_compression),
        runtime=lambda wildcards, attempt: 120 * attempt,
        disk_mb=lambda wildcards: memory_of_compression(wildcards, 1),
    params:
        job=job_arguments,
        digest=digest("compression_codec"),
    shell:
        "python -m ophiolite compression_codec {params.job} --threads 1 2> {log:q}"


rule compression_table:
    input:
        parts_of_compression,
    output:
        csv=report(
            f"{ROOT}/tables/compression.csv",
            caption="../report/compression_table.rst",
            category="Compression",
            labels={"table": "compression"},
        ),
        parquet=f"{ROOT}/tables/compression.parquet",
    log:
        f"{ROOT}/logs/compression_table.log",
    benchmark:
        f"{ROOT}/benchmarks/compression_table.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        plan=PLAN_FILE,
        digest=project_digest("compression_table"),
    shell:
        "python -m ophiolite compression_table --plan {params.plan:q} 2> {log:q}"


rule compression_figures:
    input:
        f"{ROOT}/{{dataset}}/quality/{{layer}}/compression_codec/all.parquet",
    output:
        factor=report(
            f"{ROOT}/figures/{{dataset}}.{{layer}}.compression_factor.svg",
            caption="../report/compression_factor.rst",
            category="Compression",
            labels={"dataset": "{dataset}", "layer": "{layer}", "figure": "compression factor"},
        ),
        speed=report(
            f"{ROOT}/figures/{{dataset}}.{{layer}}.compression_speed.svg",
            caption="../report/compression_speed.rst",
            category="Compression",
            labels={"dataset": "{dataset}", "layer": "{layer}", "figure": "speed"},
        ),
        tradeoff=report(
            f"{ROOT}/figures/{{dataset}}.{{layer}}.compression_tradeoff.svg",
            caption="../report/compression_tradeoff.rst",
            category="Compression",
            labels={"dataset": "{dataset}", "layer": "{layer}", "figure": "size against speed"},
        ),
        rasters=[f"{ROOT}/figures/{{dataset}}.{{layer}}.compression_{name}.png" for name in COMPRESSION_FIGURES],
    log:
        log_of("compression_figures"),
    benchmark:
        benchmark_of("compression_figures")
    conda:
        "../../envs/report.yaml"
    params:
        digest=digest("compression_figures"),
    script:
        "../../scripts/figures/compression_figures.py"


rule compression_page:
    input:
        f"{ROOT}/tables/compression.parquet",
        figures_of_compression,
    output:
        f"{ROOT}/compression.html",
    log:
        f"{ROOT}/logs/compression_page.log",
    benchmark:
        f"{ROOT}/benchmarks/compression_page.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        plan=PLAN_FILE,
        digest=project_digest("compression_page"),
    shell:
        "python -m ophiolite compression_page --plan {params.plan:q} 2> {log:q}"
