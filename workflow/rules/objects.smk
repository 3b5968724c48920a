rule object_table:
    input:
        receipt("layer_done"),
        measures_of_layer,
    output:
        receipt("object_table", "{part}"),
    log:
        log_of("object_table", "{part}"),
    benchmark:
        benchmark_of("object_table", "{part}")
    conda:
        "../../envs/tables.yaml"
    resources:
        mem_mb=memory("object_table"),
        runtime=runtime("object_table"),
        disk_mb=disk("object_table"),
    params:
        job=job_arguments,
        digest=digest("object_table"),
    shell:
        "python -m ophiolite object_table {params.job}" " --part {wildcards.part} 2> {log:q}"


rule segment_properties:
    input:
        tables_of_objects,
    output:
        receipt("segment_properties"),
    log:
        log_of("segment_properties"),
    benchmark:
        benchmark_of("segment_properties")
    conda:
        "../../envs/tables.yaml"
    resources:
        mem_mb=memory("segment_properties"),
        runtime=runtime("segment_properties"),
        disk_mb=disk("segment_properties"),
    params:
        job=job_arguments,
        digest=digest("segment_properties"),
    shell:
        "python -m ophiolite segment_properties {params.job}" " 2> {log:q}"
