SCORES = SLIDES.get("scores") or {}
PREDICTED_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".geojson")
# Run-length tables of two masks and the strips they are made from.
SCORES_MB = 900


def stamp_of_predictions(wildcards):
    """Params function: number, size and latest time of the predictions, so that changed ones are scored again."""
    return json.dumps(stamp_of(SCORES["predictions"]))


def patches_to_stitch(wildcards):
    """The receipts that the slides of a batch are cut into patches, of slides with no prediction of their own."""
    batch = slides_plan()["batches"][int(wildcards.batch)]
    rows = slides_plan()["rows"][batch["first"] : batch["stop"]]
    stitched = [row["dataset"] for row in rows if row["dataset"] and not predicted_whole(row)]
    cut = [d for d in stitched if "slide_patches" in planned()["datasets"][d]["layers"]["slide"]["digests"]]
    return expand(receipt("slide_patches"), dataset=cut, layer="slide")


def predicted_whole(row):
    """Whether there is a prediction of a slide as a whole."""
    stems = (
        row["slide_id"],
        Path(row["image"]).name.split(".")[0],
        Path(row["image"]).stem,
        Path(row["mask"] or "").stem,
    )
    paths = (Path(SCORES["predictions"]) / f"{stem}{suffix}" for stem in stems for suffix in PREDICTED_SUFFIXES)
    return any(path.is_file() for path in paths)


def scores_of_slides(wildcards):
    """The tables and the figure of scores; empty where no scores are asked for."""
    tables = of_cohort("score_tables", *slide_tables("scores", "score_summary"))(wildcards)
    return tables + of_cohort("score_panels", f"{ROOT}/slides/figures/score_panels.png")(wildcards)
