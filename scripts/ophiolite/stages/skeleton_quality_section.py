"""What the quality page says of skeletons, computed from their table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ophiolite.layers.store import Store
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.report.page import Figure, Section, Table
from ophiolite.report.skeleton_quality_figures import PAPER_OUTSIDE_SHARE, WORST, complaint, worst
from ophiolite.stages.skeleton_flagged import FILE, USED, flagged_of
from ophiolite.stages.skeleton_quality_table import TABLE

if TYPE_CHECKING:
    import pandas as pd

FIGURES = {
    "skeleton_lee": (
        "Against thinning",
        "Cable length, terminals and centroids of each skeleton against thinning of the same voxels (Lee et al. 1994, "
        "scikit-image), and the share of vertices outside the object's mesh and voxels, objects in ascending order.",
    ),
    "skeleton_centring": (
        "In the middle",
        "Distance of vertices to the ridge of the distance field, in the plane across the skeleton; error of the "
        "radius against the distance field; share of the object's voxels inside the balls of its vertices. "
        "Dashed: medians.",
    ),
    "skeleton_borders": (
        "Borders of tasks",
        "Faces through which objects continue from task to task. Broken: the skeleton ends there on one side, or runs "
        "on both, and nothing connects it with the other side. Parallel: two traces within one radius of each other. "
        "Terminals on a border: traces to where an object only grazes it.",
    ),
    "skeleton_components": (
        "Components and loops",
        "Connected parts of each skeleton against those of its object, and loops against thinning's; where the true "
        "centrelines are known, the distance of vertices to them.",
    ),
}
PAPER_SETTINGS = {
    "scale": 3.0,
    "const_nm": 50.0,
    "soma_detect_nm": 1100.0,
    "soma_accept_nm": 3500.0,
    "soma_scale": 1.0,
    "soma_const_nm": 300.0,
}
PAPER_TERMINALS = "1,169"
PAPER_LEE_TERMINALS = "3,541 (Fiji)"
LISTED = 20
LINKS = (
    f"The links under the gallery of the {WORST} worst skeletons open the viewer on the object. They work when this "
    "page is opened through `make view RESULTS={results}`, at /quality.html of the address that it prints."
)


def skeleton_section(plan: ProjectPlan, store: Store) -> Section:
    """The section of skeletons: text, measures beside the paper's, what was not measured, and figures by layer."""
    tables = TABLE.frames(plan, store)
    text = [paragraph for place, table in tables.items() for paragraph in paragraphs("/".join(place), table)]
    return Section(
        key="skeletons",
        title="Skeletons",
        text=[*text, LINKS.format(results=plan.folder)],
        tables=[
            _measures(
                {"/".join(place): table for place, table in tables.items()},
                " ".join(_settings(plan, *place) for place in tables),
            ),
            *_faults(tables),
            *_traced_again(plan, tables),
            *_not_measured(tables),
        ],
        figures=[figure for place, table in tables.items() for figure in _figures(store, *place, table)],
    )


def paragraphs(name: str, table: pd.DataFrame) -> Iterator[str]:
    """What a layer's table amounts to, in words."""
    measured = table[table["status"] == "measured"]
    having = table[table["vertices"].notna()]
    objects = int(table["voxels"].notna().sum())
    text = f"{name}: {len(having):,} of {objects:,} objects have a skeleton"
    text += _states(table[table["vertices"].isna()], ": {}")
    yield f"{text}. {len(measured):,} were measured{_states(having[having['status'] != 'measured'], ' ({})')}."
    if not len(measured):
        return
    judged = measured[measured["outside_label"].notna()]
    outside, vertices = int(judged["outside_label"].sum()), int(judged["vertices"].sum())
    text = f"{_none(outside)} of {vertices:,} vertices lie outside the voxels of their object"
    if not len(judged):
        text = "Whether vertices lie outside their object is not judged where nuclei are merged into somata"
    if tested := int(table["mesh_tested"].sum()):
        share = table["outside_mesh"].sum() / tested
        text += (
            f", {100 * share:.2g} % outside its mesh, by at most {table['outside_mesh_max_nm'].max():.3g} nm (the "
            f"paper: {100 * PAPER_OUTSIDE_SHARE:g} %)"
        )
    yield text + "."
    thinned = measured[measured["lee_terminals"].notna()]
    if len(thinned):
        yield (
            f"They have {int(thinned['terminals'].sum()):,} terminals where thinning leaves "
            f"{int(thinned['lee_terminals'].sum()):,}, and in the median object "
            f"{thinned['cable_ratio'].median():.0%} of its cable; they have "
            f"{int(thinned['loops'].sum()):,} loops where thinning leaves {int(thinned['lee_loops'].sum()):,}."
        ).replace("%", " %")
    yield _borders(measured)
    known = table[table["truth_branches"].notna()]
    if len(known):
        yield (
            f"The true centrelines of {len(known):,} objects are known: vertices lie "
            f"{known['truth_mean_nm'].median():.3g} nm from them in the median object; of "
            f"{int(known['truth_branches'].sum()):,} branches {_none(int(known['truth_missed'].sum())).lower()} are "
            f"missed, {int(known['truth_false'].sum()):,} that are none were traced."
        )


def _borders(measured: pd.DataFrame) -> str:
    faces, broken, doubled, parallel, spurs = (
        int(measured[f"border_{kind}"].sum()) for kind in ("faces", "broken", "doubled", "parallel", "spurs")
    )
    if not faces:
        return "No object crosses a border of tasks."
    return (
        f"Objects cross the borders of tasks at {faces:,} faces: {broken:,} are broken, {doubled:,} crossed twice or "
        f"more; sides with two traces in parallel: {parallel:,}. {_none(spurs)} of their terminals end on a border: "
        "spurs of a task that ran to a place where its neighbour had nothing to go on with."
    )


def _states(table: pd.DataFrame, form: str) -> str:
    """How many rows are of each status, put into `form`; nothing where there are none."""
    states = table["status"].astype(str).tolist()
    counts = ", ".join(f"{states.count(state):,} {state}" for state in sorted(set(states)))
    return form.format(counts) if counts else ""


def _settings(plan: ProjectPlan, dataset: str, layer: str) -> str:
    """How the settings of a layer differ from the paper's, in words."""
    volume = plan.datasets[dataset].layers[layer]
    assert isinstance(volume, VolumePlan)
    assert volume.skeleton is not None
    used = volume.skeleton.options["fragments"]
    other = [(name, float(used[name]), value) for name, value in PAPER_SETTINGS.items() if used[name] != value]
    if not other:
        return f"{dataset}/{layer}: the same settings."
    return f"{dataset}/{layer}: " + ", ".join(f"{n} {v:g} (the paper's: {paper:g})" for n, v, paper in other) + "."


def _measures(tables: dict[str, pd.DataFrame], settings: str) -> Table:
    measured = [table[table["status"] == "measured"] for table in tables.values()]
    rows = [(name, *(_value(value(t)) for t in measured), paper) for name, value, paper in _ROWS]
    return Table(
        ("measure", *tables, "Silversmith et al. 2022"),
        rows,
        text_columns=(0, len(tables) + 1),
        title="Beside the paper",
        note=f"The paper measured objects of 1,000 voxels or more of CREMI. {settings} A dash is what it does not say.",
    )


def _thinned(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["lee_terminals"].notna()]


def _percent(part: str, whole: str) -> Any:
    return lambda t: 100 * t[part].sum() / t[whole].sum() if t[whole].sum() else None


_outside = _percent("outside_label", "vertices")
_ROWS: tuple[tuple[str, Any, str], ...] = (
    ("skeletons measured", len, "–"),
    ("terminals", lambda t: int(_thinned(t)["terminals"].sum()), PAPER_TERMINALS),
    ("terminals of thinning", lambda t: int(_thinned(t)["lee_terminals"].sum()), PAPER_LEE_TERMINALS),
    ("cable, % of that of thinning, median object", lambda t: 100 * t["cable_ratio"].median(), "–"),
    ("centroid distance to thinning, mean, voxels", lambda t: t["centroid_lee_vx"].mean(), "–"),
    ("vertices outside the mesh, %", _percent("outside_mesh", "mesh_tested"), f"{100 * PAPER_OUTSIDE_SHARE:g}"),
    ("vertices outside the voxels, %", lambda t: _outside(t[t["outside_label"].notna()]), "–"),
    ("loops", lambda t: int(t["loops"].sum()), "–"),
    ("loops of thinning", lambda t: int(t["lee_loops"].sum()), "–"),
    ("components split", lambda t: int(t["components_split"].sum()), "–"),
    ("components of objects without skeleton", lambda t: int(t["components_missed"].sum()), "–"),
    ("components too small for one", lambda t: int(t["components_short"].sum()), "–"),
    ("distance to the ridge, median object, nm", lambda t: t["ridge_mean_nm"].median(), "–"),
    ("error of the radius, mean of objects, %", lambda t: 100 * t["radius_error_share"].mean(), "–"),
    ("covered by the balls of vertices, median object, %", lambda t: 100 * t["coverage"].median(), "–"),
    ("faces at borders of tasks", lambda t: int(t["border_faces"].sum()), "–"),
    ("of them broken", lambda t: int(t["border_broken"].sum()), "–"),
    ("of them double", lambda t: int(t["border_doubled"].sum()), "–"),
    ("terminals that end on a border", lambda t: int(t["border_spurs"].sum()), "–"),
    ("sides with parallel traces", lambda t: int(t["border_parallel"].sum()), "some"),
)


def _faults(tables: dict[tuple[str, str], pd.DataFrame]) -> Iterator[Table]:
    """The gravest faults, with the labels they are of."""
    rows = []
    for place, table in tables.items():
        found = table[table["gravity"] > 0].sort_values(["gravity", "label"], ascending=[False, True])
        rows += [("/".join(place), str(r["label"]), str(r["faults"])) for r in found.head(LISTED).to_dict("records")]
    if rows:
        yield Table(
            ("layer", "object", "faults"),
            rows,
            text_columns=(0, 1, 2),
            title="Faults",
            note=f"The gravest {LISTED} of each layer at most; all stand in tables/skeleton_quality.csv.",
        )


def _traced_again(plan: ProjectPlan, tables: dict[tuple[str, str], pd.DataFrame]) -> Iterator[Table]:
    """What to write into the config so that flagged objects are traced from the whole object."""
    flags: dict[tuple[str, str], Any] = {
        place: table[table["gravity"] > 0].to_dict("records") for place, table in tables.items()
    }
    rows = [
        (f"datasets.{dataset}.layers.{layer}.skeleton", found.told, found.line)
        for (dataset, layer), found in flagged_of(plan, flags).items()
        if found.more
    ]
    if rows:
        yield Table(
            ("where in the config", "objects", "line"),
            rows,
            text_columns=(0, 1, 2),
            title="To be traced again from the whole object",
            note=f"Or take {FILE}. {USED}",
        )


def _not_measured(tables: dict[tuple[str, str], pd.DataFrame]) -> Iterator[Table]:
    rows = []
    for place, table in tables.items():
        found = table[table["status"] != "measured"].sort_values(["voxels", "label"], ascending=[False, True])
        for state in sorted(set(found["status"].astype(str))):
            labels = found.loc[found["status"] == state, "label"].astype(str).tolist()
            more = ", …" if len(labels) > LISTED else ""
            rows.append(("/".join(place), state, f"{len(labels):,}", ", ".join(labels[:LISTED]) + more))
    if rows:
        headers = ("layer", "why", "objects", f"which, the largest {LISTED} at most")
        yield Table(headers, rows, text_columns=(0, 1, 3), title="Objects not measured")


def _figures(store: Store, dataset: str, layer: str, table: pd.DataFrame) -> Iterator[Figure]:
    for name, (title, caption) in FIGURES.items():
        path = store.local(f"figures/{dataset}.{layer}.{name}.svg")
        yield Figure(f"{title}: {dataset}/{layer}.", caption, path)
    rows = worst(table).to_dict("records")
    links = [(str(row["label"]), f"object?dataset={dataset}&layer={layer}&label={row['label']}") for row in rows]
    caption = f"The worst: {complaint(rows[0])} ({rows[0]['label']}). In the viewer:" if rows else "None was measured."
    yield Figure(
        f"Worst skeletons: {dataset}/{layer}.",
        caption,
        store.local(f"figures/{dataset}.{layer}.skeleton_worst.png"),
        links=links,
    )


def _none(count: int) -> str:
    return f"{count:,}" if count else "None"


def _value(value: Any) -> str:
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return "–" if value is None or not np.isfinite(value) else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
