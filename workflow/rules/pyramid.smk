WARM = f"{ROOT}/work/warm_up-{platform.machine()}.json"


def carries_read(wildcards):
    """Receipts of the blocks of the round before whose carries a block reads."""
    number = int(wildcards.round)
    if number == 0:
        return []
    here, before = (layer_plan(wildcards)["rounds"][n] for n in (number, number - 1))
    counts = [-(-n // b) for n, b in zip(before["tasks"], before["block_tasks"])]
    ranges = []
    for axis, index in enumerate(map(int, wildcards.block.split("-"))):
        block_vx = here["task_vx"][axis] * here["block_tasks"][axis]
        step = here["before_block_vx"][axis]
        first = max(0, (index * block_vx - here["halo_vx"][axis]) // step)
        stop = min(counts[axis], -(-(index + 1) * block_vx // step))
        ranges.append(range(min(first, counts[axis] - 1), stop))
    names = [block_name((x, y, z), counts) for z in ranges[2] for y in ranges[1] for x in ranges[0]]
    return expand_layer(receipt("pyramid_blocks", "r{before}.{name}"), wildcards, before=number - 1, name=names)


def blocks_of_layer(wildcards):
    planned()
    rounds = layer_plan(wildcards)["rounds"]
    return [
        path
        for number, grid in enumerate(rounds)
        for path in expand_layer(
            receipt("pyramid_blocks", "r{number}.{name}"), wildcards, number=number, name=block_names(grid)
        )
    ]


def stats_of_layer(wildcards):
    return expand_layer(receipt("label_stats", "{part}"), wildcards, part=range(layer_plan(wildcards)["stats_parts"]))


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
    params:
        digest=digest("layer_info"),
    resources:
        mem_mb=memory("layer_info"),
        runtime=runtime("layer_info"),
        disk_mb=disk("layer_info"),
    shell:
        "python -m ophiolite layer_info --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer} 2> {log}"


rule pyramid_blocks:
    input:
        WARM,
        info=receipt("layer_info"),
        carries=carries_read,
    output:
        receipt("pyramid_blocks", "r{round}.{block}"),
    log:
        log_of("pyramid_blocks", "r{round}.{block}"),
    benchmark:
        benchmark_of("pyramid_blocks", "r{round}.{block}")
    conda:
        "../../envs/volume.yaml"
    threads: threads_of_jobs()
    params:
        digest=digest("pyramid_blocks"),
    resources:
        mem_mb=memory("pyramid_blocks"),
        runtime=runtime("pyramid_blocks"),
        disk_mb=disk("pyramid_blocks"),
    shell:
        "python -m ophiolite pyramid_blocks --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer}"
        " --block r{wildcards.round}.{wildcards.block} --threads {threads} 2> {log}"


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
    params:
        digest=digest("label_stats"),
    resources:
        mem_mb=memory("label_stats"),
        runtime=runtime("label_stats"),
        disk_mb=disk("label_stats"),
    shell:
        "python -m ophiolite label_stats --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer}"
        " --part {wildcards.part} 2> {log}"


rule layer_done:
    input:
        receipt("layer_info"),
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
    params:
        digest=digest("layer_done"),
    resources:
        mem_mb=memory("layer_done"),
        runtime=runtime("layer_done"),
        disk_mb=disk("layer_done"),
    shell:
        "python -m ophiolite layer_done --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer} 2> {log}"
