rule timings_tables:
    input:
        targets("image", "mesh", "skeleton", "objects", "annotations", refused=False),
    output:
        report(
            f"{ROOT}/tables/timings.csv",
            caption="../report/timings_table.rst",
            category="Cost",
            labels={"table": "jobs"},
        ),
        report(
            f"{ROOT}/tables/stages.csv",
            caption="../report/stages_table.rst",
            category="Cost",
            labels={"table": "stages, and the paper's"},
        ),
        report(
            f"{ROOT}/tables/paper_scale.csv",
            caption="../report/paper_scale_table.rst",
            category="Cost",
            labels={"table": "the paper's largest work"},
        ),
        expand(f"{ROOT}/tables/{{name}}.parquet", name=("timings", "stages", "paper_scale")),
    log:
        f"{ROOT}/logs/timings_tables.log",
    benchmark:
        f"{ROOT}/benchmarks/timings_tables.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        plan=PLAN_FILE,
        digest=project_digest("timings_tables"),
    shell:
        "python -m ophiolite timings_tables --plan {params.plan:q} 2> {log:q}"


rule timings:
    input:
        f"{ROOT}/tables/stages.parquet",
        f"{ROOT}/tables/paper_scale.parquet",
    log:
        f"{ROOT}/logs/timings.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        plan=PLAN_FILE,
    shell:
        "python -m ophiolite timings --plan {params.plan:q} 2> {log:q}"


rule figure_stages:
    input:
        f"{ROOT}/tables/timings.parquet",
    output:
        report(
            f"{ROOT}/figures/stages.svg", caption="../report/stages.rst", category="Cost", labels={"figure": "stages"}
        ),
    log:
        f"{ROOT}/logs/figure_stages.log",
    benchmark:
        f"{ROOT}/benchmarks/figure_stages.tsv"
    conda:
        "../../envs/report.yaml"
    script:
        "../../scripts/figures/figure_stages.py"


rule figure_slices:
    input:
        receipts_for_slices,
    output:
        report(
            f"{ROOT}/figures/{{dataset}}.{{layer}}.slices.png",
            caption="../report/slices.rst",
            category="Slices",
            labels={"dataset": "{dataset}", "layer": "{layer}"},
        ),
    log:
        log_of("figure_slices"),
    benchmark:
        benchmark_of("figure_slices")
    conda:
        "../../envs/report.yaml"
    params:
        plan=PLAN_FILE,
        digest=digest("figures"),
    script:
        "../../scripts/figures/figure_slices.py"


rule figure_objects:
    input:
        parts_of_objects,
    output:
        objects=report(
            f"{ROOT}/figures/{{dataset}}.{{layer}}.objects.png",
            caption="../report/objects.rst",
            category="Objects",
            labels={"dataset": "{dataset}", "layer": "{layer}", "figure": "largest objects"},
        ),
        scene=report(
            f"{ROOT}/figures/{{dataset}}.{{layer}}.scene.png",
            caption="../report/scene.rst",
            category="Objects",
            labels={"dataset": "{dataset}", "layer": "{layer}", "figure": "in their volume"},
        ),
    log:
        log_of("figure_objects"),
    benchmark:
        benchmark_of("figure_objects")
    conda:
        "../../envs/report.yaml"
    params:
        plan=PLAN_FILE,
        shown=config.get("report", {}).get("objects", 6),
        digest=digest("figures"),
    script:
        "../../scripts/figures/figure_objects.py"


rule figure_sizes:
    input:
        parts_of_objects,
    output:
        report(
            f"{ROOT}/figures/{{dataset}}.{{layer}}.sizes.svg",
            caption="../report/sizes.rst",
            category="Objects",
            labels={"dataset": "{dataset}", "layer": "{layer}", "figure": "sizes"},
        ),
    log:
        log_of("figure_sizes"),
    benchmark:
        benchmark_of("figure_sizes")
    conda:
        "../../envs/report.yaml"
    params:
        plan=PLAN_FILE,
        digest=digest("figures"),
    script:
        "../../scripts/figures/figure_sizes.py"


rule report_page:
    input:
        f"{ROOT}/tables/timings.parquet",
        f"{ROOT}/figures/stages.svg",
        figures_of_project,
    output:
        f"{ROOT}/report.html",
    log:
        f"{ROOT}/logs/report_page.log",
    benchmark:
        f"{ROOT}/benchmarks/report_page.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        plan=PLAN_FILE,
        digest=project_digest("report_page"),
    shell:
        "python -m ophiolite report_page --plan {params.plan:q} 2> {log:q}"
