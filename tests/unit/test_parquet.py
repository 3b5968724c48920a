"""Parquet is read as Arrow reads it, by no thread but this one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophiolite.parquet import read_parquet, sorted_table
from ophiolite.stages.tables import parquet_bytes

ROWS = st.lists(st.tuples(st.integers(-3, 3), st.none() | st.text(max_size=3), st.floats(allow_nan=False)), max_size=20)


def table_of(rows: list[tuple[int, str | None, float]]) -> pa.Table:
    kinds = (pa.int64(), pa.string(), pa.float64())
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return pa.table([pa.array(c, k) for c, k in zip(columns, kinds, strict=True)], names=["a", "b", "c"])


@given(ROWS)
def test_what_was_written_is_read(rows: list[tuple[int, str | None, float]]) -> None:
    table = table_of(rows)
    assert read_parquet(parquet_bytes(table)).equals(table)
    assert read_parquet(parquet_bytes(table), ["c", "a"]).equals(table.select(["c", "a"]))


@given(ROWS)
def test_rows_are_sorted_as_python_sorts_them(rows: list[tuple[int, str | None, float]]) -> None:
    table = table_of(rows)
    assert sorted_table(table, "a", "c").to_pylist() == sorted(table.to_pylist(), key=lambda row: (row["a"], row["c"]))


def test_a_file_is_read_like_its_bytes(tmp_path: Path) -> None:
    table = table_of([(1, "x", 0.5), (2, None, 1.5)])
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=1)
    assert read_parquet(tmp_path / "t.parquet").equals(table)


def test_what_is_no_parquet_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"no table at all")
    with pytest.raises(pa.ArrowException):
        read_parquet(tmp_path / "t.parquet")
    with pytest.raises(pa.ArrowException):
        read_parquet(b"no table at all")


COUNT = """
import os, sys
import pyarrow, pyarrow.compute, pyarrow.parquet
from ophiolite.parquet import read_parquet, sorted_table
before = len(os.listdir("/proc/self/task"))
table = {expression}
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc, which is Linux's")
@pytest.mark.parametrize(
    ("expression", "starts"),
    [("sorted_table(read_parquet(sys.argv[1]), 'a', 'c')", False), ("pyarrow.parquet.read_table(sys.argv[1])", True)],
)
def test_no_thread_is_started(tmp_path: Path, expression: str, starts: bool, repository: Path) -> None:
    pq.write_table(table_of([(k % 7, str(k), 0.5 * k) for k in range(5000)]), tmp_path / "t.parquet", row_group_size=99)
    code = COUNT.format(expression=expression)
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.parquet")],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(repository / "scripts")},
        check=True,
    )
    assert (int(found.stdout) > 0) == starts


def test_all_modules_read_parquet_by_this_one(repository: Path) -> None:
    threaded = re.compile(r"\bread_table\(|\bread_pandas\(|\.sort_by\(|pd\.read_parquet|to_pandas\(\)")
    found = [
        f"{path.relative_to(repository)}:{number}"
        for path in sorted((repository / "scripts").rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if threaded.search(line)
    ]
    assert found == [], "these start Arrow's threads, see ophiolite.parquet"
