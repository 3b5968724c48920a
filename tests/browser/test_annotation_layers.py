"""The client opens our annotation layers of every kind, and decodes every annotation of every level and by id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotation_samples import sample
from ophiolite.layers.annotation_layer import annotation_files
from ophiolite.precomputed.annotation import AnnotationType
from ophiolite.precomputed.annotation_table import AnnotationTable

from .harness import NeuroglancerBrowser, serve

pytestmark = pytest.mark.browser

# Ids by level in every spatial chunk the client has decoded, then single annotations through the id index.
DECODED = """
const [name, wanted, done] = arguments;
(async () => {
  const layer = viewer.layerManager.managedLayers.find((m) => m.name === name).layer;
  const source = layer.annotationStates.states[0].source;
  const levels = [...source.spatiallyIndexedSources].map((level) => ({
    ids: [...level.chunks.values()].flatMap((c) => c.data?.serializedAnnotations.typeToIds.flat() ?? []),
  }));
  const singles = [];
  for (const id of wanted) {
    const reference = source.getReference(id);
    for (let i = 0; i < 100 && reference.value === undefined; ++i) await new Promise((r) => setTimeout(r, 50));
    const {point, pointA, pointB, center, radii, points, properties, relatedSegments} = reference.value;
    const vectors = (points ?? [point, pointA, pointB, center, radii].filter((v) => v !== undefined));
    singles.push({
      vectors: vectors.map((v) => Array.from(v)),
      properties: properties.map(Number),
      related: relatedSegments.map((ids) => Array.from(ids, String)),
    });
  }
  return {levels, singles};
})().catch((error) => ({error: String(error)})).then(done);
"""


def expected(table: AnnotationTable, row: int) -> dict[str, Any]:
    """What the client should say of one annotation; properties in the order of `info`, rgb as its packed number."""
    geometry = table.geometry_nm if table.points is None else table.geometry_nm[slice(*table.points[row : row + 2])]
    if table.points is None:
        geometry = geometry[row]
    red, green, blue = table.columns["colour"][row].tolist()
    return {
        "vectors": geometry.reshape(-1, 3).tolist(),
        "properties": [
            float(np.float32(table.columns["score"][row])),
            int(table.columns["level"][row]),
            int(table.columns["kind"][row]),
            red + (green << 8) + (blue << 16),
        ],
        "related": [
            [str(v) for v in related.labels[related.offsets[row] : related.offsets[row + 1]]]
            for related in table.relationships.values()
        ],
    }


@pytest.mark.parametrize("kind", AnnotationType)
def test_the_client_decodes_every_annotation(
    browser: NeuroglancerBrowser, kind: AnnotationType, tmp_path: Path
) -> None:
    table = sample(kind, 300)
    for path, data, _ in annotation_files(table, cell_limit=40):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    with serve(tmp_path) as server:
        state = {
            "dimensions": {axis: [1e-9, "m"] for axis in "xyz"},
            "position": [2300, 14_500, 1540],
            "projectionScale": 12_000,
            "layout": "3d",
            "layers": [{"type": "annotation", "name": "a", "source": f"{server.url}/|neuroglancer-precomputed:"}],
        }
        report = browser.load_layers(state, server.url)
        browser.screenshot(f"client_annotations_{kind.lower()}")
        report.check()
        rows = [0, 150, 299]
        got = browser.driver.execute_async_script(DECODED, "a", [str(table.ids[row]) for row in rows])
    assert "error" not in got, got
    assert len(got["levels"]) >= 2
    seen = [set(level["ids"]) for level in got["levels"]]
    assert set().union(*seen) == {str(i) for i in table.ids}
    assert sum(map(len, seen)) == len(table)
    assert got["singles"] == [expected(table, row) for row in rows]
