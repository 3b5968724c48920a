wildcard_constraints:
    batch=r"[a-z0-9_-]+",


rule slide_images:
    input:
        lambda wildcards: planned() and [],
    output:
        receipt("slide_images"),
    log:
        log_of("slide_images"),
    benchmark:
        benchmark_of("slide_images")
    conda:
        "../../envs/volume.yaml"
    resources:
        mem_mb=memory("slide_images"),
        runtime=runtime("slide_images"),
        disk_mb=disk("slide_images"),
    params:
        job=job_arguments,
        digest=digest("slide_images"),
    shell:
        "python -m ophiolite slide_images {params.job} 2> {log:q}"


rule mask_objects:
    input:
        WARM,
    output:
        receipt("mask_objects"),
    log:
        log_of("mask_objects"),
    benchmark:
        benchmark_of("mask_objects")
    conda:
        "../../envs/volume.yaml"
    resources:
        mem_mb=memory("mask_objects"),
        runtime=runtime("mask_objects"),
        disk_mb=disk("mask_objects"),
    params:
        job=job_arguments,
        digest=digest("mask_objects"),
    shell:
        "python -m ophiolite mask_objects {params.job} 2> {log:q}"


rule slide_objects:
    input:
        receipt("mask_objects"),
        layers_of_slide("slide"),
    output:
        receipt("slide_objects"),
    log:
        log_of("slide_objects"),
    benchmark:
        benchmark_of("slide_objects")
    conda:
        "../../envs/volume.yaml"
    resources:
        mem_mb=memory("slide_objects"),
        runtime=runtime("slide_objects"),
        disk_mb=disk("slide_objects"),
    params:
        job=job_arguments,
        digest=digest("slide_objects"),
    shell:
        "python -m ophiolite slide_objects {params.job} 2> {log:q}"


rule slide_contours:
    input:
        receipt("mask_objects"),
    output:
        receipt("slide_contours"),
    log:
        log_of("slide_contours"),
    benchmark:
        benchmark_of("slide_contours")
    conda:
        "../../envs/volume.yaml"
    resources:
        mem_mb=memory("slide_contours"),
        runtime=runtime("slide_contours"),
        disk_mb=disk("slide_contours"),
    params:
        job=job_arguments,
        digest=digest("slide_contours"),
    shell:
        "python -m ophiolite slide_contours {params.job} 2> {log:q}"
