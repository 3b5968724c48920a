SKELETON_QUALITY_FIGURES = (
    *(
        (f"skeleton_{name}", ending)
        for name in ("lee", "centring", "borders", "components")
        for ending in ("svg", "png")
    ),
    ("skeleton_worst", "png"),
)


def skeleton_quality_of_layer(wildcards):
    """What every merge job of a layer's skeletons measured."""
    planned()
    names = merge_job_names("skeleton")(layer_plan(wildcards))
    return expand_layer(f"{ROOT}/{{dataset}}/quality/{{layer}}/skeleton_quality/{{job}}.parquet", wildcards, job=names)


def skeleton_quality_figure(name, ending):
    """One figure of the report, with its caption."""
    return report(
        f"{ROOT}/figures/{{dataset}}.{{layer}}.{name}.{ending}",
        caption=f"../report/{name}.rst",
        category="Skeleton quality",
        labels={"dataset": "{dataset}", "layer": "{layer}", "figure": name.removeprefix("skeleton_"), "file": ending},
    )


def meshes_of_layer(wildcards):
    """The receipt of the meshes that skeletons are held against, where the layer has any."""
    planned()
    return expand_layer(receipt("mesh_done"), wildcards) if layer_plan(wildcards)["mesh"] else []


def minutes_of_skeleton_quality(wildcards, attempt):
    """Measuring skeletons takes about as long as tracing them; three times that, growing with each attempt."""
    traced, jobs = cost("skeleton_fragments", wildcards), layer_plan(wildcards)["skeleton"]["merge_jobs"]
    return max(10, int(3 * traced["seconds"] * traced["jobs"] / jobs / 60)) * attempt
