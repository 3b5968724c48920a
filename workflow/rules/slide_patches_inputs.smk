def patches_of_slides(wildcards):
    """The tables of patches, where they are wanted; slides that were refused have none."""
    return of_cohort("patches_table", *slide_tables("patches", "patch_counts"))(wildcards)
