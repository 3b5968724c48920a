"""The table of measures of a merge job: equal to Arrow's own conversion, without the price of importing pandas."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.stages.shards import _table

COLUMNS = {"faces": "int64", "area": "float64", "watertight": "bool"}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "label": st.integers(1, 2**64 - 1),
            "faces": st.integers(0, 2**62),
            "area": st.floats(0, 1e12),
            "watertight": st.booleans(),
        }
    ),
    max_size=20,
    unique_by=lambda row: row["label"],
)


@given(ROWS)
def test_measures_are_as_arrow_converts_them(rows):
    schema = pa.schema([("label", pa.uint64()), *((name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items())])
    expected = pa.Table.from_pylist(sorted(rows, key=lambda row: row["label"]), schema=schema)
    assert pq.read_table(io.BytesIO(_table(rows, COLUMNS))).equals(expected)


def test_measures_do_not_import_pandas(repository: Path):
    code = "import sys; from ophiolite.stages.shards import _table; "
    code += "_table([{'label': 1, 'whole': True, 'faces': 2}], {'whole': 'bool', 'faces': 'int64'}); "
    code += "sys.exit('pandas' in sys.modules)"
    path = {"PYTHONPATH": str(repository / "scripts")}
    assert subprocess.run([sys.executable, "-c", code], env=path).returncode == 0
