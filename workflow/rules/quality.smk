include: "quality_inputs.smk"


rule quality_page:
    input:
        tables_of_quality,
        figures_of_quality,
    output:
        f"{ROOT}/quality.html",
    log:
        f"{ROOT}/logs/quality_page.log",
    benchmark:
        f"{ROOT}/benchmarks/quality_page.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=with_snakemake(memory_of_quality_page),
        runtime=minutes_of_quality_page,
    params:
        plan=PLAN_FILE,
        digest=project_digest("quality_page"),
    shell:
        "python -m ophiolite quality_page --plan {params.plan:q} 2> {log:q}"
