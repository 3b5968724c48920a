"""What `clean_work` leaves beside the intermediate files it keeps: the settings of those it removed.

Without it, a lost file could not be told from one that was removed on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ophiolite.errors import LayerError, explain
from ophiolite.layers.paths import CLEANED, LayerPaths
from ophiolite.layers.store import Store
from ophiolite.plan.model import VolumePlan


def record_cleaned(store: Store, paths: LayerPaths, plan: VolumePlan) -> None:
    """Record, before they go, that the intermediate files of a layer's present settings may be missing."""
    store.write(f"{paths.work}/{CLEANED}", (json.dumps(plan.digests, indent=1, sort_keys=True) + "\n").encode())


def read_cleaned(store: Store, paths: LayerPaths) -> Mapping[str, str]:
    """The digest of every rule whose intermediate files were removed; empty where none were.

    Raises LayerError where the record is none.
    """
    path = f"{paths.work}/{CLEANED}"
    if not store.exists(path):
        return {}
    try:
        return {str(rule): str(digest) for rule, digest in json.loads(store.read(path)).items()}
    except (ValueError, AttributeError) as error:
        do = "Run `snakemake clean_work` again, or delete it to have all intermediate files remade"
        raise LayerError(explain(store.place(path), f"is no record of what was cleaned ({error})", do=do)) from None
