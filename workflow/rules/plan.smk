def source_stamps():
    """Size and time of local sources, so that a changed file makes a new plan."""
    stamps = {}
    for data in config["datasets"].values():
        for layer in data["layers"].values():
            for path in (layer["source"], layer["source"].partition(":")[0]):
                if os.path.exists(path):
                    stat = os.stat(path)
                    stamps[path] = [stat.st_size, stat.st_mtime_ns]
    return stamps


checkpoint make_plan:
    input:
        expand("data/{download}", download=[n for d in config["datasets"].values() for n in d.get("downloads", {})]),
    output:
        PLAN,
    log:
        f"{ROOT}/logs/make_plan.log",
    benchmark:
        f"{ROOT}/benchmarks/make_plan.tsv"
    conda:
        "../../envs/volume.yaml"
    localrule: True
    params:
        config=json.dumps(config, sort_keys=True),
        code=CODE,
        sources=json.dumps(source_stamps(), sort_keys=True),
    shell:
        "python -m ophiolite make_plan --config-json {params.config:q} 2> {log}"


rule plan:
    input:
        PLAN,
    log:
        f"{ROOT}/logs/plan.log",
    conda:
        "../../envs/volume.yaml"
    localrule: True
    shell:
        "python -m ophiolite plan --plan {input} 2> {log}"


rule fetch:
    output:
        "data/{download}",
    log:
        "data/{download}.log",
    conda:
        "../../envs/volume.yaml"
    localrule: True
    params:
        config=json.dumps(config, sort_keys=True),
    shell:
        "python -m ophiolite fetch --config-json {params.config:q} --name {wildcards.download} --output {output} 2> {log}"


rule refuse:
    output:
        f"{ROOT}/{{dataset}}/receipts/{{layer}}/refused",
    log:
        f"{ROOT}/{{dataset}}/logs/refuse/{{layer}}.log",
    conda:
        "../../envs/volume.yaml"
    localrule: True
    shell:
        "python -m ophiolite refuse --plan {PLAN} --dataset {wildcards.dataset} --layer {wildcards.layer} 2> >(tee {log} >&2)"


rule warm_up:
    input:
        lambda wildcards: planned() and [],
    output:
        f"{ROOT}/work/warm_up-{platform.machine()}.json",
    log:
        f"{ROOT}/logs/warm_up.log",
    benchmark:
        f"{ROOT}/benchmarks/warm_up.tsv"
    conda:
        "../../envs/volume.yaml"
    params:
        code=CODE,
    shell:
        "python -m ophiolite warm_up --plan {PLAN} --output {output} 2> {log}"


rule clean_work:
    log:
        f"{ROOT}/logs/clean_work.log",
    conda:
        "../../envs/volume.yaml"
    localrule: True
    shell:
        "python -m ophiolite clean_work --plan {PLAN} 2> {log}"
