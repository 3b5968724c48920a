include: "slide_dataset_inputs.smk"


rule slide_facts:
    input:
        after_plan,
    output:
        f"{ROOT}/slides/facts/{{batch}}.items.parquet",
        f"{ROOT}/slides/facts/{{batch}}.structures.parquet",
    log:
        f"{ROOT}/logs/slide_facts/{{batch}}.log",
    benchmark:
        f"{ROOT}/benchmarks/slide_facts/{{batch}}.tsv"
    conda:
        "../../envs/slides.yaml"
    resources:
        mem_mb=with_snakemake(lambda wildcards, attempt: FACTS_MB * attempt),
        runtime=facts_minutes,
    params:
        plan=PLAN_FILE,
        digest=batch_digest("slide_facts"),
    shell:
        "python -m ophiolite slide_facts --plan {params.plan:q} --batch {wildcards.batch} 2> {log:q}"


# A checkpoint: of what cannot be read nothing can be made, and what is made of all slides must not wait for it.
checkpoint slide_statistics:
    input:
        facts_of_slides,
    output:
        slide_tables("items", "structures", "sizes", "occurrences", "objects"),
    log:
        f"{ROOT}/logs/slide_statistics.log",
    benchmark:
        f"{ROOT}/benchmarks/slide_statistics.tsv"
    conda:
        "../../envs/slides.yaml"
    params:
        plan=PLAN_FILE,
        digest=slides_digest("slide_statistics"),
    shell:
        "python -m ophiolite slide_statistics --plan {params.plan:q} 2> {log:q}"


rule slide_readable:
    input:
        after_plan,
        slide_tables("items"),
    output:
        f"{ROOT}/slides/readable.json",
    log:
        f"{ROOT}/logs/slide_readable.log",
    benchmark:
        f"{ROOT}/benchmarks/slide_readable.tsv"
    conda:
        "../../envs/slides.yaml"
    params:
        plan=PLAN_FILE,
        digest=slides_digest("slide_readable"),
    shell:
        "python -m ophiolite slide_readable --plan {params.plan:q} 2> {log:q}"


rule slide_splits:
    input:
        after_plan,
        lock=lock_of_splits,
    output:
        slide_tables("splits"),
    log:
        f"{ROOT}/logs/slide_splits.log",
    benchmark:
        f"{ROOT}/benchmarks/slide_splits.tsv"
    conda:
        "../../envs/slides.yaml"
    params:
        plan=PLAN_FILE,
        digest=slides_digest("slide_splits"),
    shell:
        "python -m ophiolite slide_splits --plan {params.plan:q} 2> {log:q}"


# The tables name what leaks and must outlive the failure, so that they are no outputs of the rule.
rule slide_leakage:
    input:
        facts_of_slides,
        slide_tables("splits"),
    output:
        f"{ROOT}/slides/leakage.json",
    log:
        f"{ROOT}/logs/slide_leakage.log",
    benchmark:
        f"{ROOT}/benchmarks/slide_leakage.tsv"
    conda:
        "../../envs/slides.yaml"
    params:
        plan=PLAN_FILE,
        digest=slides_digest("slide_leakage"),
    shell:
        "python -m ophiolite slide_leakage --plan {params.plan:q} 2> {log:q}"


rule slide_panels:
    input:
        after_plan,
    output:
        report(
            f"{ROOT}/slides/figures/panels.{{group}}.png",
            caption="../report/slide_panels.rst",
            category="Slides",
            labels={"group": "{group}", "figure": "image, mask, overlay"},
        ),
    log:
        f"{ROOT}/logs/slide_panels/{{group}}.log",
    benchmark:
        f"{ROOT}/benchmarks/slide_panels/{{group}}.tsv"
    wildcard_constraints:
        group=r"[^/]+",
    conda:
        "../../envs/slides.yaml"
    resources:
        mem_mb=with_snakemake(lambda wildcards, attempt: FACTS_MB * attempt),
    params:
        plan=PLAN_FILE,
        digest=slides_digest("slide_panels"),
    shell:
        "python -m ophiolite slide_panels --plan {params.plan:q} --group {wildcards.group:q} 2> {log:q}"


rule slide_card:
    input:
        after_plan,
        slide_tables("items", "sizes", "occurrences", "objects", "splits"),
        f"{ROOT}/slides/leakage.json",
    output:
        f"{ROOT}/slides/card.md",
        f"{ROOT}/slides/card.json",
        f"{ROOT}/slides/croissant.json",
    log:
        f"{ROOT}/logs/slide_card.log",
    benchmark:
        f"{ROOT}/benchmarks/slide_card.tsv"
    conda:
        "../../envs/slides.yaml"
    params:
        plan=PLAN_FILE,
        digest=slides_digest("slide_card"),
    shell:
        "python -m ophiolite slide_card --plan {params.plan:q} 2> {log:q}"


rule slides_page:
    input:
        slide_tables("items", "sizes", "occurrences", "objects", "splits"),
        f"{ROOT}/slides/leakage.json",
        f"{ROOT}/slides/card.json",
        panels_of_slides,
    output:
        f"{ROOT}/slides.html",
    log:
        f"{ROOT}/logs/slides_page.log",
    benchmark:
        f"{ROOT}/benchmarks/slides_page.tsv"
    conda:
        "../../envs/slides.yaml"
    params:
        plan=PLAN_FILE,
        digest=slides_digest("slides_page"),
    shell:
        "python -m ophiolite slides_page --plan {params.plan:q} 2> {log:q}"
