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


def test_engines_that_took_turns_are_told_by_their_medians() -> None:
    from benchmarks.measure import Cost, Row
    from benchmarks.mesh import median

    costs = Cost(9.0, 3.0, 100.0), Cost(1.0, 5.0, 300.0), Cost(4.0, 4.0, 200.0)
    found = median([Row("a", "mesh", "igneous", cost, 7, 2) for cost in costs])
    assert found == Row("a", "mesh", "igneous", Cost(4.0, 4.0, 300.0), 7, 2)
