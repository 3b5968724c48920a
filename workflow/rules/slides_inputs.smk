import csv

SLIDES = config.get("slides") or {}


def stamps_of_slides():
    """One stamp of the sheet (or folder) of slides and of all files it names, so that a changed one makes a new plan."""
    paths = files_of_sheet(SLIDES["sheet"]) if SLIDES.get("sheet") else files_of_folder(SLIDES.get("folder"))
    stamps = json.dumps([(path, *stamp_of_slide(path)) for path in paths])
    return {"slides": hashlib.sha256(stamps.encode()).hexdigest()[:16]} if SLIDES else {}


def files_of_sheet(sheet):
    """The sheet, and the images and masks that its rows name; of a sheet that cannot be read, the sheet alone."""
    folder = os.path.dirname(sheet)
    try:
        with open(sheet, encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="," if sheet.lower().endswith(".csv") else "\t"))
    except (OSError, UnicodeDecodeError, csv.Error):
        return [sheet]
    named = [row[column] for row in rows for column in ("image", "mask") if row.get(column)]
    return [sheet, *(os.path.join(folder, os.path.expanduser(name.strip())) for name in named)]


def files_of_folder(folder):
    """All files below a folder, sorted."""
    return sorted(os.path.join(top, name) for top, _, names in os.walk(folder or os.devnull) for name in names)


def stamp_of_slide(path):
    """Size and time of a file, and of what lies in the folder of its name or, of some formats, beside it."""
    stem, ending = os.path.splitext(path)
    if ending.lower() in (".dcm", ".vms", ".vmu"):
        return stamp_of_folder(os.path.dirname(path))
    return stamp_of_files([path, *glob.glob(f"{glob.escape(stem)}/*")])


@lru_cache(maxsize=None)
def stamp_of_folder(folder):
    """Size and time of all files in a folder."""
    return stamp_of_files(glob.glob(f"{glob.escape(folder)}/*"))


def stamp_of_files(files):
    """The sum of the sizes of those files that are there, and the latest time."""
    found = [os.stat(file) for file in files if os.path.isfile(file)]
    return sum(s.st_size for s in found), max((s.st_mtime_ns for s in found), default=0)


def slides_plan():
    """What the plan keeps of slides; empty without a sheet."""
    return planned()["slides"] or {"rows": [], "batches": [], "rules": {}, "shown": [], "digests": {}}


def slides_digest(name):
    """Params function: the digest of a rule that serves all slides; a plan of other options may lack it."""
    return lambda wildcards: ((the_plan()["slides"] or {}).get("digests") or {}).get(name, "to be planned")


def batch_digest(name):
    """Params function: the digest of a rule for the batch of rows at hand."""

    def of_batch(wildcards):
        return batch_of(wildcards)["digests"].get(name, "to be planned")

    return of_batch


@lru_cache(maxsize=2)
def batches_by_name(modified):
    """The batches of a plan, read once per state of the file; those of older code have no names."""
    return {batch.get("name"): batch for batch in (read_plan(modified)["slides"] or {}).get("batches") or []}


def batch_of(wildcards):
    """The batch of rows at hand; of no rows where the plan has none of its name."""
    batches = batches_by_name(os.stat(PLAN_FILE).st_mtime_ns)
    return batches.get(wildcards.batch, {"first": 0, "stop": 0, "digests": {}})


def batch_names():
    """The names of all batches of rows."""
    return [batch["name"] for batch in slides_plan()["batches"]]


def of_batches(pattern, name):
    """Input function: a file per batch of rows, where the options ask for rule `name`."""

    def of_plan(wildcards):
        asked = [batch["name"] for batch in slides_plan()["batches"] if name in batch["digests"]]
        return expand(pattern, batch=asked)

    return of_plan


def of_cohort(name, *outputs):
    """Input function: the outputs of a rule that serves all slides, where the options ask for it."""
    return lambda wildcards: list(outputs) if name in slides_plan()["digests"] else []


def slide_datasets():
    """The datasets of slides, those of refused rows too."""
    datasets = planned()["datasets"]
    return {name: data for name, data in datasets.items() if name not in DATASETS}


def in_report(dataset, layer):
    """Whether the report shows a layer of a slide: the objects over the image, or without objects the image."""
    layers = planned()["datasets"][dataset]["layers"]
    return dataset in slides_plan()["shown"] and layer == ("objects" if "objects" in layers else "slide")


def receipts_of_slides(*rules):
    """Input function: the receipts of rules that run once for a slide, for all slides, as far as the options ask for them.

    Refused slides have none.
    """

    def of_plan(wildcards):
        return [
            f"{ROOT}/{dataset}/receipts/{layer}/{rule}.json"
            for dataset, data in slide_datasets().items()
            for layer, plan in data["layers"].items()
            for rule in rules
            if rule in plan.get("digests", {})
        ]

    return of_plan


def layers_of_slide(*names):
    """Input function: the receipts that layers of the slide at hand can be read, of `names` those that it has."""

    def of_dataset(wildcards):
        layers = planned()["datasets"][wildcards.dataset]["layers"]
        asked = [layer for layer in names if layer in layers]
        rules = [receipt(rule) for rule in ("layer_info", "layer_done")]
        return expand(rules, dataset=wildcards.dataset, layer=asked)

    return of_dataset


def objects_of_mask(wildcards):
    """The receipt of the connected objects that the layer at hand is made from, where it is."""
    made = layer_plan(wildcards)["source"]["format"] == "mask_objects"
    return expand_layer(receipt("mask_objects"), wildcards) if made else []


def layers_of_slides(wildcards):
    """Input function: the receipts that mean the layers of all slides are done; refused ones by a rule that fails."""
    return [
        path
        for dataset, layer, plan in wanted_layers()
        if dataset not in DATASETS
        for path in layer_targets(dataset, layer, plan, ("image", "objects", "annotations"))
    ]


def products_of_slides(wildcards):
    """Input function: all that is made of slides besides their layers, scores left out."""
    # Objects, their outlines and other pictures belong to layers that are looked at.
    kinds = ("slide", "mask", "objects") if SLIDES.get("viewer", True) else ("slide",)
    rules = [rule for kind in kinds for rule in slides_plan()["rules"].get(kind, ())]
    return receipts_of_slides(*(rule for rule in rules if len(kinds) > 1 or rule != "slide_images"))(wildcards)
