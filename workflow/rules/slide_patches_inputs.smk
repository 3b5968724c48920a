def patches_of_slides(wildcards):
    """The tables of patches, and that every slide has some, where they are wanted; slides that were refused have none."""
    tables = of_cohort("patches_table", *slide_tables("patches", "patch_counts"))(wildcards)
    return tables + of_cohort("patch_faults", f"{ROOT}/slides/patched.json")(wildcards)


def patches_of_readable(wildcards):
    """What says which slides cannot be read, and the receipts that all others are cut into patches."""
    unreadable = unreadable_slides()
    cut = [row["dataset"] for row in slides_plan()["rows"] if row["dataset"] and row["slide_id"] not in unreadable]
    return slide_tables("items") + expand(receipt("slide_patches"), dataset=cut, layer="slide")
