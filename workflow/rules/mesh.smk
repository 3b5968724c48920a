def mesh_blocks(wildcards):
    planned()
    return expand_layer(
        receipt("mesh_fragments", "{block}"), wildcards, block=block_names(layer_plan(wildcards)["mesh"])
    )


def mesh_jobs(wildcards):
    planned()
    count = layer_plan(wildcards)["mesh"]["merge_jobs"]
    names = [f"{j:0{len(str(count - 1))}d}" for j in range(count)]
    return expand_layer(receipt("mesh_shards", "{job}"), wildcards, job=names)


rule mesh_fragments:
    input:
        WARM,
        receipt("layer_done"),
    output:
        receipt("mesh_fragments", "{block}"),
    log:
        log_of("mesh_fragments", "{block}"),
    benchmark:
        benchmark_of("mesh_fragments", "{block}")
    conda:
        "../../envs/mesh.yaml"
    threads: threads_of_jobs()
    params:
        digest=digest("mesh_fragments"),
    resources:
        mem_mb=memory("mesh_fragments"),
        runtime=runtime("mesh_fragments"),
        disk_mb=disk("mesh_fragments"),
    shell:
        "python -m ophiolite mesh_fragments --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer}"
        " --block {wildcards.block} --threads {threads} 2> {log}"


rule mesh_index:
    input:
        mesh_blocks,
    output:
        receipt("mesh_index"),
    log:
        log_of("mesh_index"),
    benchmark:
        benchmark_of("mesh_index")
    conda:
        "../../envs/mesh.yaml"
    params:
        digest=digest("mesh_index"),
    resources:
        mem_mb=memory("mesh_index"),
        runtime=runtime("mesh_index"),
        disk_mb=disk("mesh_index"),
    shell:
        "python -m ophiolite mesh_index --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer} 2> {log}"


rule mesh_shards:
    input:
        WARM,
        receipt("mesh_index"),
    output:
        receipt("mesh_shards", "{job}"),
    log:
        log_of("mesh_shards", "{job}"),
    benchmark:
        benchmark_of("mesh_shards", "{job}")
    conda:
        "../../envs/mesh.yaml"
    threads: threads_of_jobs()
    params:
        digest=digest("mesh_shards"),
    resources:
        mem_mb=memory("mesh_shards"),
        runtime=runtime("mesh_shards"),
        disk_mb=disk("mesh_shards"),
    shell:
        "python -m ophiolite mesh_shards --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer}"
        " --job {wildcards.job} --threads {threads} 2> {log}"


rule mesh_done:
    input:
        receipt("mesh_index"),
        mesh_jobs,
    output:
        receipt("mesh_done"),
    log:
        log_of("mesh_done"),
    benchmark:
        benchmark_of("mesh_done")
    conda:
        "../../envs/mesh.yaml"
    params:
        digest=digest("mesh_done"),
    resources:
        mem_mb=memory("mesh_done"),
        runtime=runtime("mesh_done"),
        disk_mb=disk("mesh_done"),
    shell:
        "python -m ophiolite mesh_done --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer} 2> {log}"
