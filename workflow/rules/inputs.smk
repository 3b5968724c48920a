DATASETS = config.get("datasets") or {}
DOWNLOADS = {
    name: {"mirror": data.get("mirror"), **download}
    for data in DATASETS.values()
    for name, download in data.get("downloads", {}).items()
}


def placed_config():
    """The config with the folder of its results as Snakemake puts it, under the prefix of a module."""
    folder = "results" if "://" in STORE else "store"
    return config if PLAN_FILE == PLAN else {**config, folder: str(RESULTS_FOLDER)}


def source_stamps():
    """Number, size and latest time of local sources with what lies in them, so that a changed file makes a new plan."""
    layers = [layer for data in DATASETS.values() for layer in data["layers"].values()]
    texts = [text for layer in layers for text in (layer["source"], layer.get("relabel")) if text]
    stamps = {path: stamp_of(path) for text in texts for path in (text, text.partition(":")[0])}
    return {**stamps, **stamps_of_slides()}


def stamp_of(path):
    files = [path, *glob.glob(path)]
    files += [inside for file in files for inside in glob.glob(f"{glob.escape(file)}/*")]
    found = [(file, os.stat(file)) for file in sorted(set(files)) if os.path.exists(file)]
    return [len(found), sum(s.st_size for _, s in found), max((s.st_mtime_ns for _, s in found), default=0)]


def fetch_options(wildcards):
    """Params function: the options of the fetch command that say what file it is."""
    download = DOWNLOADS[wildcards.download]
    return " ".join(f"--{key} {shlex.quote(value)}" for key, value in sorted(download.items()) if value)


def fetch_failures(wildcards):
    """Params function: how many tries failed so far; a failed try changes it, so that the next run tries again."""
    receipt = Path(f"data/{wildcards.download}.fetched.json")
    try:
        return json.loads(receipt.read_text())["failures"]
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkflowError(f"{receipt} is no receipt of a download ({error}): delete it and run again")


def carries_read(wildcards):
    """Receipts of the blocks of the round before whose carries a block reads."""
    number = int(wildcards.round)
    if number == 0:
        return objects_of_mask(wildcards)
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
    return expand_layer(
        receipt("pyramid_blocks", "r{before}.{name}"),
        wildcards,
        before=number - 1,
        name=names,
    )


def blocks_of_layer(wildcards):
    planned()
    rounds = layer_plan(wildcards)["rounds"]
    return [
        path
        for number, grid in enumerate(rounds)
        for path in expand_layer(
            receipt("pyramid_blocks", "r{number}.{name}"),
            wildcards,
            number=number,
            name=block_names(grid),
        )
    ]


def stats_of_layer(wildcards):
    planned()
    return expand_layer(
        receipt("label_stats", "{part}"),
        wildcards,
        part=range(layer_plan(wildcards)["stats_parts"]),
    )


def blocks_of_product(product):
    """Input function: the receipts of all fragment blocks of a product."""

    def of_layer(wildcards):
        planned()
        names = block_names(layer_plan(wildcards)[product])
        return expand_layer(receipt(f"{product}_fragments", "{block}"), wildcards, block=names)

    return of_layer


def object_jobs_of_product(product):
    """Input function: the receipts of the jobs of whole objects, which a merge reads beside the index."""

    def of_layer(wildcards):
        # A rule that another workflow changes (`use rule mesh_shards ... with`) is read alone, without the checkpoint.
        if hasattr(checkpoints, "make_plan"):
            planned()
        names = job_names(layer_plan(wildcards)[product]["object_jobs"])
        return expand_layer(receipt(f"{product}_objects", "{job}"), wildcards, job=names)

    return of_layer


def merge_jobs_of_product(product):
    """Input function: the receipts of all merge jobs of a product."""

    def of_layer(wildcards):
        planned()
        names = merge_job_names(product)(layer_plan(wildcards))
        return expand_layer(receipt(f"{product}_shards", "{job}"), wildcards, job=names)

    return of_layer


def measures_of_layer(wildcards):
    """Receipts that the measures of every product of a layer are there."""
    planned()
    products = [p for p in PRODUCTS if layer_plan(wildcards)[p]]
    return [path for p in products for path in expand_layer(receipt(f"{p}_done"), wildcards)]


def parts_of_objects(wildcards):
    planned()
    return expand_layer(
        receipt("object_table", "{part}"),
        wildcards,
        part=range(layer_plan(wildcards)["stats_parts"]),
    )


def tables_of_objects(wildcards):
    """Receipts of all that the properties of a layer's objects are made of."""
    measured = layer_plan(wildcards)["source"]["format"] == "mask_objects"
    of_slide = expand_layer(receipt("slide_objects"), wildcards) if measured else []
    return parts_of_objects(wildcards) + of_slide


def segmentation_of_annotations(wildcards):
    """The receipt of what a layer of annotations reads: the layer in which partners are looked up, or outlines."""
    planned()
    outlined, layer = layer_plan(wildcards)["outlines_of"], layer_plan(wildcards)["segmentation"]
    if outlined:
        return expand(receipt("slide_contours"), dataset=wildcards.dataset, layer=outlined)
    return expand(receipt("layer_done"), dataset=wildcards.dataset, layer=layer) if layer else []


def targets(*kinds, refused=True):
    """Input function: the receipts that mean these kinds of product are done, for every layer of the project.

    Layers that were refused come as the output of a rule that fails, unless `refused` is false.
    """

    def of_plan(wildcards):
        return [
            path
            for dataset, layer, plan in wanted_layers()
            for path in layer_targets(dataset, layer, plan, kinds)
            if refused or plan["kind"] != "refused"
        ]

    return of_plan


def wanted_layers():
    """(dataset, layer, plan) of every layer to make; of slides without layers for the viewer the refused ones alone."""
    return [
        (dataset, layer, plan)
        for dataset, data in planned()["datasets"].items()
        for layer, plan in data["layers"].items()
        if dataset in DATASETS or SLIDES.get("viewer", True) or plan["kind"] == "refused"
    ]


def layer_targets(dataset, layer, plan, kinds):
    base = f"{ROOT}/{dataset}/receipts/{layer}"
    if plan["kind"] == "refused":
        return [f"{base}/refused"]
    if plan["kind"] == "annotations":
        return [f"{base}/annotation_layer.json"] if "annotations" in kinds else []
    found = []
    if "image" in kinds:
        found.append(f"{base}/layer_done.json")
    found += [f"{base}/{p}_done.json" for p in PRODUCTS if p in kinds and plan[p]]
    skeleton = plan["skeleton"]
    for kind, rules in (("skeleton", skeleton and skeleton["options"]["exports"]), ("objects", ["graph"])):
        if kind in kinds and skeleton:
            names = job_names(skeleton["export_jobs"])
            found += [f"{base}/skeleton_{rule}/{job}.json" for rule in rules for job in names]
    if "objects" in kinds and plan["kind"] == "segmentation":
        found += [f"{base}/object_table/{part}.json" for part in range(plan["stats_parts"])]
        if plan["properties"]:
            found.append(f"{base}/segment_properties.json")
    return [f"{base}/layer_info.json", *found] if found else []


def receipts_for_slices(wildcards):
    """Receipts of what a figure of slices reads: every volume layer of the dataset, and the layer's objects."""
    layers = planned()["datasets"][wildcards.dataset]["layers"]
    volumes = [name for name, plan in layers.items() if plan["kind"] in ("image", "segmentation")]
    pyramids = expand(receipt("layer_done"), dataset=wildcards.dataset, layer=volumes)
    return pyramids + (parts_of_objects(wildcards) if layer_plan(wildcards)["kind"] == "segmentation" else [])


def figures_of_project(wildcards):
    """Every figure of every layer of the project."""
    found = []
    for dataset, layer, plan in wanted_layers():
        if dataset not in DATASETS and not in_report(dataset, layer):
            continue
        base = f"{ROOT}/figures/{dataset}.{layer}"
        if plan["kind"] in ("image", "segmentation"):
            found.append(f"{base}.slices.png")
        if plan["kind"] == "segmentation":
            found.append(f"{base}.sizes.svg")
        if plan.get("mesh") or plan.get("skeleton"):
            found += [f"{base}.objects.png", f"{base}.scene.png"]
    return found


def quality_of_layers():
    """(dataset, layer, kind of quality) of everything that is measured: the pyramid, and mesh and skeleton if made."""
    return [
        (dataset, layer, kind)
        for dataset, data in planned()["datasets"].items()
        for layer, plan in data["layers"].items()
        if plan["kind"] in ("image", "segmentation")
        for kind in ("pyramid", *(p for p in PRODUCTS if plan[p]))
    ]


def parts_of_quality(rule, items):
    """Input function: the parts of a table that the jobs of a rule measured; `items(layer plan)` names their jobs."""
    kind = rule.removesuffix("_quality")

    def of_project(wildcards):
        return [
            f"{ROOT}/{dataset}/quality/{layer}/{rule}/{item}.parquet"
            for dataset, layer, of_layer in quality_of_layers()
            if of_layer == kind
            for item in items(the_plan()["datasets"][dataset]["layers"][layer])
        ]

    return of_project


def merge_job_names(product):
    """The names of the merge jobs of a product, given a layer's plan."""

    def of_plan(plan):
        return job_names(plan[product]["merge_jobs"])

    return of_plan


def job_names(count):
    return [f"{job:0{len(str(count - 1))}d}" for job in range(count)]
