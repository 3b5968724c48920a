MESH_QUALITY_FIGURES = (
    *((name, ending) for name in ("mesh_volume", "mesh_centroid", "mesh_distance") for ending in ("svg", "png")),
    ("mesh_worst", "png"),
)


def mesh_quality_of_layer(wildcards):
    """What every merge job of a layer's meshes measured."""
    planned()
    names = merge_job_names("mesh")(layer_plan(wildcards))
    return expand_layer(f"{ROOT}/{{dataset}}/quality/{{layer}}/mesh_quality/{{job}}.parquet", wildcards, job=names)


def mesh_quality_minutes(wildcards, attempt):
    """Resources function: 0.6 s per object that a merge job is expected to hold, six times what was measured."""
    plan = layer_plan(wildcards)["mesh"]
    return max(10, plan["expected_labels"] // plan["merge_jobs"] // 100) * attempt


def mesh_quality_figure(name, ending):
    """One figure of the report, with its caption."""
    return report(
        f"{ROOT}/figures/{{dataset}}.{{layer}}.{name}.{ending}",
        caption=f"../report/{name}.rst",
        category="Mesh quality",
        labels={"dataset": "{dataset}", "layer": "{layer}", "figure": name.removeprefix("mesh_"), "file": ending},
    )
