SCORES = SLIDES.get("scores") or {}
# Run-length tables of two masks and the strips they are made from.
SCORES_MB = 900


def rows_to_score(wildcards):
    """The rows of a batch."""
    batch = batch_of(wildcards)
    return slides_plan()["rows"][batch["first"] : batch["stop"]]


@lru_cache(maxsize=None)
def predicted_files():
    """The names of the files in the folder of predictions."""
    folder = SCORES.get("predictions", "")
    return frozenset(os.listdir(folder)) if os.path.isdir(folder) else frozenset()


def prediction_of_row(row):
    """The prediction of a whole slide or patch, by a name that the plan gives it; None where there is none."""
    names = (stem + ending for stem in row["predicted_as"] for ending in slides_plan()["predicted_endings"])
    found = next((name for name in names if name in predicted_files()), None)
    return found and os.path.join(SCORES["predictions"], found)


def stamp_of_predictions(wildcards):
    """Params function: size and time of the predictions of a batch, so that changed ones are scored again.

    Where one is missing, of all predictions, among which its patches may be.
    """
    paths = [prediction_of_row(row) for row in rows_to_score(wildcards)]
    return json.dumps([stamp_of(path) for path in (paths if all(paths) else [SCORES["predictions"]])])


def patches_to_stitch(wildcards):
    """The receipts that the slides of a batch are cut into patches, of slides with no prediction of their own.

    Slides that cannot be read have none; their rows of scores say so.
    """
    slides = [row for row in rows_to_score(wildcards) if row["dataset"] and not prediction_of_row(row)]
    layers = {row["slide_id"]: planned()["datasets"][row["dataset"]]["layers"] for row in slides}
    cut = [row for row in slides if "slide_patches" in layers[row["slide_id"]]["slide"]["digests"]]
    unreadable = unreadable_slides() if cut else ()
    readable = [row["dataset"] for row in cut if row["slide_id"] not in unreadable]
    return expand(receipt("slide_patches"), dataset=readable, layer="slide")


def scores_of_slides(wildcards):
    """The tables and the figure of scores, and that none was at fault; empty where no scores are asked for."""
    tables = of_cohort("score_tables", *slide_tables("scores", "score_summary"))(wildcards)
    if tables:
        ask_for_unreadable()
    tables += of_cohort("score_faults", f"{ROOT}/slides/scored.json")(wildcards)
    return tables + of_cohort("score_panels", f"{ROOT}/slides/figures/score_panels.png")(wildcards)
