rule skeleton_graph:
    input:
        WARM,
        receipt("skeleton_done"),
    output:
        receipt("skeleton_graph", "{job}"),
    log:
        log_of("skeleton_graph", "{job}"),
    benchmark:
        benchmark_of("skeleton_graph", "{job}")
    conda:
        "../../envs/skeleton_quality.yaml"
    resources:
        mem_mb=memory("skeleton_graph"),
        runtime=runtime("skeleton_graph"),
        disk_mb=disk("skeleton_graph"),
    params:
        job=job_arguments,
        digest=digest("skeleton_graph"),
    shell:
        "python -m ophiolite skeleton_graph {params.job}" " --job {wildcards.job} 2> {log:q}"


rule skeleton_swc:
    input:
        WARM,
        receipt("skeleton_done"),
    output:
        receipt("skeleton_swc", "{job}"),
    log:
        log_of("skeleton_swc", "{job}"),
    benchmark:
        benchmark_of("skeleton_swc", "{job}")
    conda:
        "../../envs/skeleton_quality.yaml"
    resources:
        mem_mb=memory("skeleton_swc"),
        runtime=runtime("skeleton_swc"),
        disk_mb=disk("skeleton_swc"),
    params:
        job=job_arguments,
        digest=digest("skeleton_swc"),
    shell:
        "python -m ophiolite skeleton_swc {params.job}" " --job {wildcards.job} 2> {log:q}"
