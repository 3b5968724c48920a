# What tables, figures and the page of quality take, by the objects that the plan expects. Measured with tables of
# 1,000 and of 100,000 objects: a process and its libraries take 140 MB, with figures 195 MB; a row of the table of meshes
# (of skeletons, which is smaller) takes 1.5 kB where tables are joined and 2.7 kB where figures are drawn, a label 0.2 kB
# per mip where pyramids are summed up; a million rows take 15 s and 40 s. Pictures of ten objects of 1.5 million faces, the
# largest that are drawn, take 935 MB. Declared is more by a quarter to a double.
KB_PER_OBJECT = {"table": 2.5, "figure": 4}
KB_PER_MIP = 0.4
LABELS_PER_PART = 1_000_000


def kb_of_layer(kind, plan, use):
    """Memory in kB that grows with the objects of one layer."""
    if kind != "pyramid":
        return KB_PER_OBJECT[use] * plan[kind]["expected_labels"]
    if plan["kind"] == "image":
        return 0
    # Labels are followed by parts of about a million; where no product counts them, a label has 1,000 voxels at least.
    x, y, z = plan["scales"][0]["size_vx"]
    counts = [plan[p]["expected_labels"] for p in PRODUCTS if plan[p]] or [x * y * z // 1000]
    return KB_PER_MIP * len(plan["scales"]) * min(max(counts), 2 * LABELS_PER_PART)


def objects_of_quality(kind):
    """The objects that the rows of one kind of quality are expected to be of, in all layers."""
    layers = [layer for layer in layers_of_quality(kind) if layer["kind"] == "segmentation"]
    products = [kind] if kind != "pyramid" else PRODUCTS
    return sum(max((layer[p]["expected_labels"] for p in products if layer[p]), default=0) for layer in layers)


def layers_of_quality(kind):
    """The plans of the layers that one kind of quality is measured of; none before there is a plan."""
    datasets = the_plan()["datasets"].values() if os.path.exists(PLAN_FILE) else []
    layers = [layer for data in datasets for layer in data["layers"].values()]
    return [v for v in layers if v["kind"] in ("image", "segmentation") and (kind == "pyramid" or v[kind])]


def memory_of_table(kind, use="table"):
    """Resources function of a rule that reads the parts of all layers, those of pyramids one layer after the other."""

    def of_project(wildcards, attempt):
        layers = [kb_of_layer(kind, layer, use) for layer in layers_of_quality(kind)]
        together = max if kind == "pyramid" else sum
        return int(400 + together(layers or [0]) / 1000) * attempt

    return of_project


def minutes_of_table(kind):
    """Resources function of a rule that reads the parts of all layers."""
    return lambda wildcards, attempt: (10 + objects_of_quality(kind) // 100_000) * attempt


def memory_of_quality_figure(kind):
    """Resources function of the figures of one layer."""
    least_mb = 400 if kind == "pyramid" else 1200

    def of_layer(wildcards, attempt):
        return int(least_mb + kb_of_layer(kind, layer_plan(wildcards), "figure") / 1000) * attempt

    return of_layer


def minutes_of_quality_figure(wildcards, attempt):
    """Resources function of the figures of one layer."""
    plan = layer_plan(wildcards)
    objects = max((plan[p]["expected_labels"] for p in PRODUCTS if plan[p]), default=0)
    return (10 + objects // 100_000) * attempt


def memory_of_quality_page(wildcards, attempt):
    """Resources function: the page is made of one kind of quality after the other, each as its figures are."""
    return max(memory_of_table(kind, "figure")(wildcards, attempt) for kind in ("pyramid", *PRODUCTS))


def minutes_of_quality_page(wildcards, attempt):
    """Resources function: as for every table together."""
    return sum(minutes_of_table(kind)(wildcards, attempt) for kind in ("pyramid", *PRODUCTS))
