# What hashing and reducing the pixels of slides takes, on a slow core.
FACTS_MPX_PER_S = 15
FACTS_MB = 600


def after_plan(wildcards):
    """Nothing, once the plan is there."""
    planned()
    return []


def facts_minutes(wildcards, attempt):
    """Resources function: the pixels of a batch of rows, and a second per row."""
    batch = batch_of(wildcards)
    own = slides_plan()["rows"][batch["first"] : batch["stop"]]
    mpx = sum(row["size_px"][0] * row["size_px"][1] for row in own if row["size_px"]) / 1e6
    return max(10, int((mpx / FACTS_MPX_PER_S + len(own)) / 60 * 3)) * attempt


def facts_of_slides(wildcards):
    """The facts of all rows."""
    return expand(
        f"{ROOT}/slides/facts/{{batch}}.{{table}}.parquet",
        batch=batch_names(),
        table=("items", "structures"),
    )


def lock_of_splits(wildcards):
    """The lock file of splits, where the config names one."""
    return (SLIDES.get("splits") or {}).get("lock") or []


def groups_of_slides():
    """The groups of all slides that were not refused."""
    return sorted({row["group"] for row in slides_plan()["rows"] if row["error"] is None})


def panels_of_slides(wildcards):
    """A figure per group, where panels are wanted."""
    wanted = slides_plan().get("options", {}).get("panels", 0)
    return expand(f"{ROOT}/slides/figures/panels.{{group}}.png", group=groups_of_slides()) if wanted else []


def slide_tables(*names):
    """Paths of tables of all slides."""
    return expand(f"{ROOT}/slides/tables/{{name}}.{{ending}}", name=names, ending=("csv", "parquet"))


def dataset_of_slides(wildcards):
    """The page of the dataset of slides and all that goes with it, where there are slides."""
    return [f"{ROOT}/slides.html", f"{ROOT}/slides/readable.json"] if groups_of_slides() else []


def unreadable_slides():
    """The ids of the slides that cannot be read beyond their headers, after the checkpoint that reads all."""
    planned()
    return unreadable_in(checkpoints.slide_statistics.get().output[0])


@lru_cache(maxsize=None)
def unreadable_in(items):
    """The slides that have an error in the table of items; fetched where a profile keeps it in a bucket."""
    stored = getattr(items, "flags", {}).get("storage_object")
    if stored:
        os.makedirs(os.path.dirname(stored.local_path()), exist_ok=True)
        stored.retrieve_object()
    with open(stored.local_path() if stored else items, encoding="utf-8", newline="") as stream:
        return frozenset(row["slide_id"] for row in csv.DictReader(stream) if row["kind"] == "slide" and row["error"])
