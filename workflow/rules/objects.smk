def measures_of_layer(wildcards):
    """Receipts that the measures of every product of a layer are there."""
    planned()
    products = [p for p in PRODUCTS if layer_plan(wildcards)[p]]
    return [path for p in products for path in expand_layer(receipt(f"{p}_done"), wildcards)]


def parts_of_objects(wildcards):
    planned()
    return expand_layer(receipt("object_table", "{part}"), wildcards, part=range(layer_plan(wildcards)["stats_parts"]))


rule object_table:
    input:
        receipt("layer_done"),
        measures_of_layer,
    output:
        receipt("object_table", "{part}"),
    log:
        log_of(("object_table"), "{part}"),
    benchmark:
        benchmark_of(("object_table"), "{part}")
    conda:
        "../../envs/tables.yaml"
    params:
        digest=digest(("object_table")),
    resources:
        mem_mb=memory(("object_table")),
        runtime=runtime(("object_table")),
        disk_mb=disk(("object_table")),
    shell:
        "python -m ophiolite object_table --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer}"
        " --part {wildcards.part} 2> {log}"


rule segment_properties:
    input:
        parts_of_objects,
    output:
        receipt("segment_properties"),
    log:
        log_of("segment_properties"),
    benchmark:
        benchmark_of("segment_properties")
    conda:
        "../../envs/tables.yaml"
    params:
        digest=digest("segment_properties"),
    resources:
        mem_mb=memory("segment_properties"),
        runtime=runtime("segment_properties"),
        disk_mb=disk("segment_properties"),
    shell:
        "python -m ophiolite segment_properties --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer}"
        " 2> {log}"
