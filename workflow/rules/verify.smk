include: "verify_inputs.smk"


rule verify:
    log:
        f"{ROOT}/logs/verify.log",
    localrule: True
    conda:
        "../../envs/heal.yaml"
    threads: os.cpu_count()
    params:
        plan=plan_with_receipts,
    shell:
        "python -m ophiolite verify --plan {params.plan:q} --threads {threads} 2> >(tee {log:q} >&2)"


rule heal:
    input:
        damaged_jobs,
    log:
        f"{ROOT}/logs/heal.log",
    localrule: True
    conda:
        "../../envs/heal.yaml"
    params:
        plan=plan_with_receipts,
    shell:
        "python -m ophiolite heal --plan {params.plan:q} 2> >(tee {log:q} >&2)"


rule heal_job:
    input:
        damaged_jobs_before,
    output:
        f"{ROOT}/{{dataset}}/healing/{{layer}}/{{damaged}}/{{item}}",
    log:
        log_of("heal_job", "{damaged}.{item}"),
    benchmark:
        benchmark_of("heal_job", "{damaged}.{item}")
    conda:
        "../../envs/heal.yaml"
    resources:
        mem_mb=memory_of_damaged,
        runtime=of_damaged(runtime),
        disk_mb=disk_of_damaged,
    params:
        job=job_arguments,
        item=item_of_damaged,
        digest=digest_of_damaged,
    shell:
        "python -m ophiolite heal_job {params.job} --rule {wildcards.damaged} {params.item}"
        " --threads {threads} --output {output:q} 2> {log:q}"
