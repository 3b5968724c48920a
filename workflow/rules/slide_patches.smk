include: "slide_patches_inputs.smk"


rule slide_patches:
    input:
        layers_of_slide("slide", "mask"),
    output:
        receipt("slide_patches"),
    log:
        log_of("slide_patches"),
    benchmark:
        benchmark_of("slide_patches")
    conda:
        "../../envs/slides.yaml"
    resources:
        mem_mb=memory("slide_patches"),
        runtime=runtime("slide_patches"),
        disk_mb=disk("slide_patches"),
    params:
        job=job_arguments,
        digest=digest("slide_patches"),
    shell:
        "python -m ophiolite slide_patches {params.job} 2> {log:q}"


rule patches_table:
    input:
        patches_of_readable,
    output:
        slide_tables("patches", "patch_counts"),
    log:
        f"{ROOT}/logs/patches_table.log",
    benchmark:
        f"{ROOT}/benchmarks/patches_table.tsv"
    conda:
        "../../envs/slides.yaml"
    params:
        plan=PLAN_FILE,
        digest=slides_digest("patches_table"),
    shell:
        "python -m ophiolite patches_table --plan {params.plan:q} 2> {log:q}"


rule patch_faults:
    input:
        after_unreadable(*slide_tables("patches", "patch_counts")),
    output:
        f"{ROOT}/slides/patched.json",
    log:
        f"{ROOT}/logs/patch_faults.log",
    benchmark:
        f"{ROOT}/benchmarks/patch_faults.tsv"
    conda:
        "../../envs/slides.yaml"
    params:
        plan=PLAN_FILE,
        digest=slides_digest("patch_faults"),
    shell:
        "python -m ophiolite patch_faults --plan {params.plan:q} 2> {log:q}"
