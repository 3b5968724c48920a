rule layer_info:
    input:
        lambda wildcards: planned() and [],
    output:
        receipt("layer_info"),
    log:
        log_of("layer_info"),
    benchmark:
        benchmark_of("layer_info")
    conda:
        "../../envs/volume.yaml"
    resources:
        mem_mb=memory("layer_info"),
        runtime=runtime("layer_info"),
        disk_mb=disk("layer_info"),
    params:
        job=job_arguments,
        digest=digest("layer_info"),
    shell:
        "python -m ophiolite layer_info {params.job} 2> {log:q}"


rule pyramid_blocks:
    input:
        WARM,
        carries_read,
    output:
        receipt("pyramid_blocks", "r{round}.{block}"),
    log:
        log_of("pyramid_blocks", "r{round}.{block}"),
    benchmark:
        benchmark_of("pyramid_blocks", "r{round}.{block}")
    conda:
        "../../envs/volume.yaml"
    resources:
        mem_mb=memory("pyramid_blocks"),
        runtime=runtime("pyramid_blocks"),
        disk_mb=disk("pyramid_blocks"),
    params:
        job=job_arguments,
        digest=digest("pyramid_blocks"),
    shell:
        "python -m ophiolite pyramid_blocks {params.job}"
        " --block r{wildcards.round}.{wildcards.block} --threads {threads} 2> {log:q}"


rule label_stats:
    input:
        blocks_of_layer,
    output:
        receipt("label_stats", "{part}"),
    log:
        log_of("label_stats", "{part}"),
    benchmark:
        benchmark_of("label_stats", "{part}")
    conda:
        "../../envs/volume.yaml"
    resources:
        mem_mb=memory("label_stats"),
        runtime=runtime("label_stats"),
        disk_mb=disk("label_stats"),
    params:
        job=job_arguments,
        digest=digest("label_stats"),
    shell:
        "python -m ophiolite label_stats {params.job}" " --part {wildcards.part} 2> {log:q}"


rule layer_done:
    input:
        blocks_of_layer,
        stats_of_layer,
    output:
        receipt("layer_done"),
    log:
        log_of("layer_done"),
    benchmark:
        benchmark_of("layer_done")
    conda:
        "../../envs/volume.yaml"
    resources:
        mem_mb=memory("layer_done"),
        runtime=runtime("layer_done"),
        disk_mb=disk("layer_done"),
    params:
        job=job_arguments,
        digest=digest("layer_done"),
    shell:
        "python -m ophiolite layer_done {params.job} 2> {log:q}"
