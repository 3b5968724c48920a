"""The table of the documentation's page on meshes."""

from __future__ import annotations


def test_the_page_holds_the_table_that_was_measured() -> None:
    from benchmarks.mesh import TABLE
    from benchmarks.mesh_report import PAGE, with_meshes
    from benchmarks.run import read_csv

    page, lines = PAGE.read_text(), read_csv(TABLE)
    assert with_meshes(page, lines) == page
    assert {"pinky40", "fib25"} <= {line["dataset"] for line in lines}
    assert "ophiolite_near" in page
