def segmentation_of_annotations(wildcards):
    """The receipt of the segmentation layer in which partners are looked up, where there is one."""
    planned()
    layer = layer_plan(wildcards)["segmentation"]
    return expand(receipt("layer_done"), dataset=wildcards.dataset, layer=layer) if layer else []


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
    params:
        digest=digest("annotation_layer"),
    resources:
        mem_mb=memory("annotation_layer"),
        runtime=runtime("annotation_layer"),
        disk_mb=disk("annotation_layer"),
    shell:
        "python -m ophiolite annotation_layer --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer} 2> {log}"
