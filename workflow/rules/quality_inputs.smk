# What the parts of the quality report have in common; every part names its figures in a tuple of its own file.
QUALITY_FIGURES = {
    "mesh": MESH_QUALITY_FIGURES,
    "skeleton": SKELETON_QUALITY_FIGURES,
    "pyramid": PYRAMID_QUALITY_FIGURES,
}


def tables_of_quality(wildcards):
    """The tables of quality that the project's layers give rise to."""
    kinds = sorted({kind for _, _, kind in quality_of_layers()})
    return expand(f"{ROOT}/tables/{{kind}}_quality.{{ending}}", kind=kinds, ending=("csv", "parquet"))


def refused_layers(wildcards):
    """What fails for each refused layer, asked for last, so that the others finish."""
    return [
        f"{ROOT}/{dataset}/receipts/{layer}/refused"
        for dataset, data in planned()["datasets"].items()
        for layer, plan in data["layers"].items()
        if plan["kind"] == "refused"
    ]


def figures_of_quality(wildcards):
    """Every figure of quality of every layer."""
    return [
        f"{ROOT}/figures/{dataset}.{layer}.{name}.{ending}"
        for dataset, layer, kind in quality_of_layers()
        for name, ending in QUALITY_FIGURES[kind]
    ]
