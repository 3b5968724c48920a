"""The table of scores of all slides, and their means per group and over all with intervals by case."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.kernels.bootstrap import Interval, Resampling
from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan
from ophiolite.plan.slide_model import SlidesPlan
from ophiolite.stages.slide_project import structures_of
from ophiolite.stages.slide_scores import SCORES, score_part
from ophiolite.stages.slide_tables import FOLDER, Row, batch_names, read_rows, read_slide_table, write_slide_table

# Arrow types. A row per group (or `all`), kind of item, structure and metric; `pooled` metrics are of all objects or
# pixels together, others are means over items. Intervals hold 95 % of the resamples of whole cases.
SUMMARY = {
    "group": "string", "kind": "string", "structure": "string", "metric": "string", "value": "float64",
    "low": "float64", "high": "float64", "items": "int64", "cases": "int64", "unscored": "int64",
}  # fmt: skip
MEANS = ("dice", "iou", "precision", "recall", "f1", "sq", "pq")
# name -> (columns summed up and their factors) over and under the line.
POOLED = {
    "pooled dice": ({"shared_px": 2}, {"truth_px": 1, "predicted_px": 1}),
    "pooled precision": ({"found": 1}, {"found": 1, "false": 1}),
    "pooled recall": ({"found": 1}, {"found": 1, "missed": 1}),
    "pooled f1": ({"found": 2}, {"found": 2, "missed": 1, "false": 1}),
}
ALL = "all"
NAMES = ("slide_id", "case_id", "group", "kind", "value", "structure")


def write_score_tables(plan: ProjectPlan, slides: SlidesPlan, store: Store) -> None:
    """Write slides/tables/scores and score_summary, errors in the place of scores where predictions could not be
    compared; SourceError where none was, or nothing was predicted.
    """
    options = slides.options["scores"]
    read = [row for batch in batch_names(slides) for row in read_rows(store, score_part(batch))]
    rows = _without_shared(read, options["predictions"])
    if not any(row["prediction"] for row in rows):
        _refuse_errors(rows)
        folder = str(Path(options["predictions"]))
        expected = "a file per slide, <slide_id>.png or .tif, or one per patch, <patch name>.png"
        problem = "holds a prediction of none of the slides"
        raise SourceError(explain(folder, problem, expected=expected, do="Correct `slides.scores.predictions`"))
    write_slide_table(store, "scores", rows, SCORES)
    names = list(structures_of(plan).values())
    summary = summarise(rows, names, options["bootstrap"], options["seed"])
    write_slide_table(store, "score_summary", summary, SUMMARY)


def check_scored(store: Store) -> None:
    """Write slides/scored.json; SourceError names every item whose prediction could not be compared, if any."""
    rows = read_slide_table(store, "scores")
    _refuse_errors(rows)
    items = len({row["slide_id"] for row in rows if row["prediction"]})
    store.write(f"{FOLDER}/scored.json", (json.dumps({"items": items}) + "\n").encode())


def _refuse_errors(rows: Sequence[Row]) -> None:
    errors = list(dict.fromkeys(row["error"] for row in rows if row["error"]))
    if errors:
        told = "\n  ".join(errors)
        raise SourceError(f"{len(errors)} slides and patches cannot be scored:\n  {told}")


def _without_shared(rows: Sequence[Row], folder: str) -> list[Row]:
    """The rows, without scores where a file was taken for the prediction of two items, whose files bear one name."""
    owners: dict[str, list[str]] = {}
    for row in rows:
        if row["prediction"] and row["prediction"] != folder:
            owners.setdefault(row["prediction"], []).append(row["slide_id"])
    shared = {path: sorted(set(ids)) for path, ids in owners.items() if len(set(ids)) > 1}
    return [_error_of(row, shared[row["prediction"]]) if row["prediction"] in shared else row for row in rows]


def _error_of(row: Row, slides: Sequence[str]) -> Row:
    problem = f"fits the names of {' and '.join(slides)}"
    error = f"{row['slide_id']}: {explain(row['prediction'], problem, do='Name predictions by slide_id')}"
    return {**dict.fromkeys(row), **{name: row[name] for name in NAMES}, "error": error}


def summarise(rows: Sequence[Row], structures: Sequence[str], resamples: int, seed: int) -> list[Row]:
    """The rows of the summary: every group by name, then all together; slides and patches apart."""
    out: list[Row] = []
    groups = sorted({row["group"] for row in rows})
    for kind in sorted({row["kind"] for row in rows}):
        for group in (*groups, ALL) if len(groups) > 1 else (ALL,):
            for structure in structures:
                own = [r for r in rows if r["kind"] == kind and r["structure"] == structure]
                mine = [r for r in own if group in (ALL, r["group"])]
                if mine:
                    place = {"group": group, "kind": kind, "structure": structure}
                    out += [{**place, **found} for found in _metrics(mine, resamples, seed)]
    return out


def _metrics(rows: Sequence[Row], resamples: int, seed: int) -> list[Row]:
    scored = [row for row in rows if row["prediction"]]
    drawing = Resampling([row["case_id"] for row in scored], resamples, seed)
    facts = {"cases": len({row["case_id"] for row in scored}), "unscored": len(rows) - len(scored)}
    out: list[Row] = []
    for metric in MEANS:
        values = _column(scored, metric)
        items = int(np.isfinite(values).sum())
        out.append({"metric": metric, **_spelt(drawing.mean(values)), "items": items, **facts})
    for metric, (over, under) in POOLED.items():
        sums = [sum(f * np.nan_to_num(_column(scored, c)) for c, f in part.items()) for part in (over, under)]
        found = drawing.ratio(np.asarray(sums[0], float), np.asarray(sums[1], float))
        out.append({"metric": metric, **_spelt(found), "items": len(scored), **facts})
    return out


def _column(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    """A column with NaN for null."""
    return np.array([np.nan if row[name] is None else row[name] for row in rows], np.float64)


def _spelt(interval: Interval) -> Row:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
