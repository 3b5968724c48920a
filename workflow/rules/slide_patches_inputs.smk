def patches_of_slides(wildcards):
    """The tables of patches, and that every slide has some, where they are wanted; slides that were refused have none."""
    tables = of_cohort("patches_table", *slide_tables("patches", "patch_counts"))(wildcards)
    ask_for_unreadable()
    return tables + of_cohort("patch_faults", f"{ROOT}/slides/patched.json")(wildcards)


def ask_for_unreadable():
    """Wait for what slides can be read, where patches are cut.

    Snakemake looks again at what is below a finished checkpoint only for jobs that ask for the checkpoint themselves.
    """
    if "patches_table" in slides_plan()["digests"]:
        unreadable_slides()


def after_unreadable(*outputs):
    """Input function: these files, of a rule below which others wait for the slides that can be read."""

    def of_rule(wildcards):
        ask_for_unreadable()
        return list(outputs)

    return of_rule


def patches_of_readable(wildcards):
    """What says which slides cannot be read, and the receipts that all others are cut into patches."""
    unreadable = unreadable_slides()
    cut = [row["dataset"] for row in slides_plan()["rows"] if row["dataset"] and row["slide_id"] not in unreadable]
    return slide_tables("items") + expand(receipt("slide_patches"), dataset=cut, layer="slide")
