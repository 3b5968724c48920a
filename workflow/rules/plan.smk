checkpoint make_plan:
    input:
        [local(f"data/{download}.fetched.json") for download in DOWNLOADS],
    output:
        PLAN,
    log:
        f"{ROOT}/logs/make_plan.log",
    benchmark:
        f"{ROOT}/benchmarks/make_plan.tsv"
    localrule: True
    conda:
        "../../envs/volume.yaml"
    params:
        config=json.dumps(placed_config(), sort_keys=True),
        code=CODE,
        sources=json.dumps(source_stamps(), sort_keys=True),
    shell:
        "python -m ophiolite make_plan --config-json {params.config:q} 2> {log:q}"


rule plan:
    input:
        lambda wildcards: planned() and [],  # as an input of a job, its copy of the one in a bucket would be tidied up
    log:
        f"{ROOT}/logs/plan.log",
    localrule: True
    conda:
        "../../envs/volume.yaml"
    params:
        plan=PLAN_FILE,
    shell:
        "python -m ophiolite plan --plan {params.plan:q} 2> {log:q}"


rule fetch:
    output:
        local("data/{download}.fetched.json"),
    log:
        "data/{download}.fetch.log",
    localrule: True
    conda:
        "../../envs/volume.yaml"
    params:
        options=fetch_options,
        failures=fetch_failures,
    shell:
        "python -m ophiolite fetch --name {wildcards.download} --folder data {params.options}"
        " --failures {params.failures} 2> {log:q}"


rule refuse:
    output:
        f"{ROOT}/{{dataset}}/receipts/{{layer}}/refused",
    log:
        f"{ROOT}/{{dataset}}/logs/refuse/{{layer}}.log",
    localrule: True
    conda:
        "../../envs/volume.yaml"
    params:
        job=job_arguments,
    shell:
        "python -m ophiolite refuse {params.job} 2> >(tee {log:q} >&2)"


rule warm_up:
    input:
        lambda wildcards: planned() and [],
    output:
        WARM,
    log:
        f"{ROOT}/logs/warm_up.log",
    benchmark:
        f"{ROOT}/benchmarks/warm_up.tsv"
    conda:
        "../../envs/warm_up.yaml"
    params:
        plan=PLAN_FILE,  # no digest: every block would run again after it; kernels that change compile where they are called
    shell:
        "python -m ophiolite warm_up --plan {params.plan:q} --output {output:q} 2> {log:q}"


rule clean_work:
    log:
        f"{ROOT}/logs/clean_work.log",
    localrule: True
    conda:
        "../../envs/volume.yaml"
    params:
        plan=PLAN_FILE,
    shell:
        "python -m ophiolite clean_work --plan {params.plan:q} 2> {log:q}"
