def skeleton_blocks(wildcards):
    planned()
    return expand_layer(
        receipt("skeleton_fragments", "{block}"), wildcards, block=block_names(layer_plan(wildcards)["skeleton"])
    )


def skeleton_jobs(wildcards):
    planned()
    count = layer_plan(wildcards)["skeleton"]["merge_jobs"]
    names = [f"{j:0{len(str(count - 1))}d}" for j in range(count)]
    return expand_layer(receipt("skeleton_shards", "{job}"), wildcards, job=names)


rule skeleton_fragments:
    input:
        WARM,
        receipt("layer_done"),
    output:
        receipt("skeleton_fragments", "{block}"),
    log:
        log_of("skeleton_fragments", "{block}"),
    benchmark:
        benchmark_of("skeleton_fragments", "{block}")
    conda:
        "../../envs/skeleton.yaml"
    threads: threads_of_jobs()
    params:
        digest=digest("skeleton_fragments"),
    resources:
        mem_mb=memory("skeleton_fragments"),
        runtime=runtime("skeleton_fragments"),
        disk_mb=disk("skeleton_fragments"),
    shell:
        "python -m ophiolite skeleton_fragments --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer}"
        " --block {wildcards.block} --threads {threads} 2> {log}"


rule skeleton_index:
    input:
        skeleton_blocks,
    output:
        receipt("skeleton_index"),
    log:
        log_of("skeleton_index"),
    benchmark:
        benchmark_of("skeleton_index")
    conda:
        "../../envs/skeleton.yaml"
    params:
        digest=digest("skeleton_index"),
    resources:
        mem_mb=memory("skeleton_index"),
        runtime=runtime("skeleton_index"),
        disk_mb=disk("skeleton_index"),
    shell:
        "python -m ophiolite skeleton_index --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer} 2> {log}"


rule skeleton_shards:
    input:
        WARM,
        receipt("skeleton_index"),
    output:
        receipt("skeleton_shards", "{job}"),
    log:
        log_of("skeleton_shards", "{job}"),
    benchmark:
        benchmark_of("skeleton_shards", "{job}")
    conda:
        "../../envs/skeleton.yaml"
    threads: threads_of_jobs()
    params:
        digest=digest("skeleton_shards"),
    resources:
        mem_mb=memory("skeleton_shards"),
        runtime=runtime("skeleton_shards"),
        disk_mb=disk("skeleton_shards"),
    shell:
        "python -m ophiolite skeleton_shards --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer}"
        " --job {wildcards.job} --threads {threads} 2> {log}"


rule skeleton_done:
    input:
        receipt("skeleton_index"),
        skeleton_jobs,
    output:
        receipt("skeleton_done"),
    log:
        log_of("skeleton_done"),
    benchmark:
        benchmark_of("skeleton_done")
    conda:
        "../../envs/skeleton.yaml"
    params:
        digest=digest("skeleton_done"),
    resources:
        mem_mb=memory("skeleton_done"),
        runtime=runtime("skeleton_done"),
        disk_mb=disk("skeleton_done"),
    shell:
        "python -m ophiolite skeleton_done --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer} 2> {log}"
