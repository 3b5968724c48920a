rule annotation_layer:
    input:
        segmentation_of_annotations,
    output:
        receipt("annotation_layer"),
    log:
        log_of("annotation_layer"),
    benchmark:
        benchmark_of("annotation_layer")
    conda:
        "../../envs/tables.yaml"
    resources:
        mem_mb=memory("annotation_layer"),
        runtime=runtime("annotation_layer"),
        disk_mb=disk("annotation_layer"),
    params:
        job=job_arguments,
        digest=digest("annotation_layer"),
    shell:
        "python -m ophiolite annotation_layer {params.job} 2> {log:q}"
