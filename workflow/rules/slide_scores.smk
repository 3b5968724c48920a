include: "slide_scores_inputs.smk"


rule score_slide:
    input:
        after_plan,
        patches_to_stitch,
    output:
        f"{ROOT}/slides/scores/{{batch}}.parquet",
    log:
        f"{ROOT}/logs/score_slide/{{batch}}.log",
    benchmark:
        f"{ROOT}/benchmarks/score_slide/{{batch}}.tsv"
    conda:
        "../../envs/slides.yaml"
    resources:
        mem_mb=with_snakemake(lambda wildcards, attempt: SCORES_MB * attempt),
        runtime=facts_minutes,
    params:
        plan=PLAN_FILE,
        predictions=stamp_of_predictions,
        digest=batch_digest("score_slide"),
    shell:
        "python -m ophiolite score_slide --plan {params.plan:q} --batch {wildcards.batch} 2> {log:q}"


rule score_tables:
    input:
        after_unreadable(),
        of_batches(f"{ROOT}/slides/scores/{{batch}}.parquet", "score_slide"),
    output:
        slide_tables("scores", "score_summary"),
    log:
        f"{ROOT}/logs/score_tables.log",
    benchmark:
        f"{ROOT}/benchmarks/score_tables.tsv"
    conda:
        "../../envs/slides.yaml"
    params:
        plan=PLAN_FILE,
        digest=slides_digest("score_tables"),
    shell:
        "python -m ophiolite score_tables --plan {params.plan:q} 2> {log:q}"


rule score_faults:
    input:
        after_unreadable(*slide_tables("scores")),
    output:
        f"{ROOT}/slides/scored.json",
    log:
        f"{ROOT}/logs/score_faults.log",
    benchmark:
        f"{ROOT}/benchmarks/score_faults.tsv"
    conda:
        "../../envs/slides.yaml"
    params:
        plan=PLAN_FILE,
        digest=slides_digest("score_faults"),
    shell:
        "python -m ophiolite score_faults --plan {params.plan:q} 2> {log:q}"


rule score_panels:
    input:
        after_unreadable(*slide_tables("scores")),
    output:
        report(
            f"{ROOT}/slides/figures/score_panels.png",
            caption="../report/score_panels.rst",
            category="Slides",
            labels={"group": "all", "figure": "worst predictions"},
        ),
    log:
        f"{ROOT}/logs/score_panels.log",
    benchmark:
        f"{ROOT}/benchmarks/score_panels.tsv"
    conda:
        "../../envs/slides.yaml"
    resources:
        mem_mb=with_snakemake(lambda wildcards, attempt: SCORES_MB * attempt),
    params:
        plan=PLAN_FILE,
        digest=slides_digest("score_panels"),
    shell:
        "python -m ophiolite score_panels --plan {params.plan:q} 2> {log:q}"
