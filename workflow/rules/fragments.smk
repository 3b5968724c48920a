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
        resources:
            mem_mb=memory(f"{product}_fragments"),
            runtime=runtime(f"{product}_fragments"),
            disk_mb=disk(f"{product}_fragments"),
        params:
            command=f"{product}_fragments",
            job=job_arguments,
            digest=digest(f"{product}_fragments"),
        shell:
            "python -m ophiolite {params.command} {params.job}"
            " --block {wildcards.block} --threads {threads} 2> {log:q}"

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
        resources:
            mem_mb=memory(f"{product}_index"),
            runtime=runtime(f"{product}_index"),
            disk_mb=disk(f"{product}_index"),
        params:
            command=f"{product}_index",
            job=job_arguments,
            digest=digest(f"{product}_index"),
        shell:
            "python -m ophiolite {params.command} {params.job}" " 2> {log:q}"

    rule:
        name:
            f"{product}_shards"
        input:
            WARM,
            index=receipt(f"{product}_index"),
            objects=object_jobs_of_product(product),
        output:
            receipt(f"{product}_shards", "{job}"),
        log:
            log_of(f"{product}_shards", "{job}"),
        benchmark:
            benchmark_of(f"{product}_shards", "{job}")
        conda:
            f"../../envs/{product}.yaml"
        resources:
            mem_mb=memory_of_merge(product),
            runtime=runtime(f"{product}_shards"),
            disk_mb=disk(f"{product}_shards"),
        params:
            command=f"{product}_shards",
            job=job_arguments,
            digest=digest(f"{product}_shards"),
        shell:
            "python -m ophiolite {params.command} {params.job}" " --job {wildcards.job} --threads {threads} 2> {log:q}"

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
        resources:
            mem_mb=memory(f"{product}_done"),
            runtime=runtime(f"{product}_done"),
            disk_mb=disk(f"{product}_done"),
        params:
            command=f"{product}_done",
            job=job_arguments,
            digest=digest(f"{product}_done"),
        shell:
            "python -m ophiolite {params.command} {params.job}" " 2> {log:q}"
