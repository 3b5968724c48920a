rule skeleton_objects:
    input:
        WARM,
        receipt("skeleton_index"),
    output:
        receipt("skeleton_objects", "{job}"),
    log:
        log_of("skeleton_objects", "{job}"),
    benchmark:
        benchmark_of("skeleton_objects", "{job}")
    conda:
        "../../envs/skeleton.yaml"
    resources:
        mem_mb=memory("skeleton_objects"),
        runtime=runtime("skeleton_objects"),
        disk_mb=disk("skeleton_objects"),
    params:
        job=job_arguments,
        digest=digest("skeleton_objects"),
    shell:
        "python -m ophiolite skeleton_objects {params.job}" " --job {wildcards.job} --threads {threads} 2> {log:q}"
