def blocks_of_product(product):
    """Input function: the receipts of all fragment blocks of a product."""

    def of_layer(wildcards):
        planned()
        names = block_names(layer_plan(wildcards)[product])
        return expand_layer(receipt(f"{product}_fragments", "{block}"), wildcards, block=names)

    return of_layer


def merge_jobs_of_product(product):
    """Input function: the receipts of all merge jobs of a product."""

    def of_layer(wildcards):
        planned()
        count = layer_plan(wildcards)[product]["merge_jobs"]
        names = [f"{job:0{len(str(count - 1))}d}" for job in range(count)]
        return expand_layer(receipt(f"{product}_shards", "{job}"), wildcards, job=names)

    return of_layer


for product in PRODUCTS:

    rule:
        name:
            f"{product}_fragments"
        input:
            WARM,
            receipt("layer_done"),
        output:
            receipt(f"{product}_fragments", "{block}"),
        log:
            log_of(f"{product}_fragments", "{block}"),
        benchmark:
            benchmark_of(f"{product}_fragments", "{block}")
        conda:
            f"../../envs/{product}.yaml"
        threads: threads_of_jobs()
        params:
            command=f"{product}_fragments",
            digest=digest(f"{product}_fragments"),
        resources:
            mem_mb=memory(f"{product}_fragments"),
            runtime=runtime(f"{product}_fragments"),
            disk_mb=disk(f"{product}_fragments"),
        shell:
            "python -m ophiolite {params.command} --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer}"
            " --block {wildcards.block} --threads {threads} 2> {log}"

    rule:
        name:
            f"{product}_index"
        input:
            blocks_of_product(product),
        output:
            receipt(f"{product}_index"),
        log:
            log_of(f"{product}_index"),
        benchmark:
            benchmark_of(f"{product}_index")
        conda:
            f"../../envs/{product}.yaml"
        params:
            command=f"{product}_index",
            digest=digest(f"{product}_index"),
        resources:
            mem_mb=memory(f"{product}_index"),
            runtime=runtime(f"{product}_index"),
            disk_mb=disk(f"{product}_index"),
        shell:
            "python -m ophiolite {params.command} --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer}"
            " 2> {log}"

    rule:
        name:
            f"{product}_shards"
        input:
            WARM,
            receipt(f"{product}_index"),
        output:
            receipt(f"{product}_shards", "{job}"),
        log:
            log_of(f"{product}_shards", "{job}"),
        benchmark:
            benchmark_of(f"{product}_shards", "{job}")
        conda:
            f"../../envs/{product}.yaml"
        threads: threads_of_jobs()
        params:
            command=f"{product}_shards",
            digest=digest(f"{product}_shards"),
        resources:
            mem_mb=memory(f"{product}_shards"),
            runtime=runtime(f"{product}_shards"),
            disk_mb=disk(f"{product}_shards"),
        shell:
            "python -m ophiolite {params.command} --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer}"
            " --job {wildcards.job} --threads {threads} 2> {log}"

    rule:
        name:
            f"{product}_done"
        input:
            receipt(f"{product}_index"),
            merge_jobs_of_product(product),
        output:
            receipt(f"{product}_done"),
        log:
            log_of(f"{product}_done"),
        benchmark:
            benchmark_of(f"{product}_done")
        conda:
            f"../../envs/{product}.yaml"
        params:
            command=f"{product}_done",
            digest=digest(f"{product}_done"),
        resources:
            mem_mb=memory(f"{product}_done"),
            runtime=runtime(f"{product}_done"),
            disk_mb=disk(f"{product}_done"),
        shell:
            "python -m ophiolite {params.command} --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer}"
            " 2> {log}"
