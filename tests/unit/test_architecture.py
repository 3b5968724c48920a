"""The house's form: floors import only downward, rules and commands share names, no file names somebody's machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import pytest

from ophiolite.__main__ import command_names
from ophiolite.plan.digest import imported
from smk_rules import SmkRule, rules

HERE = Path(__file__).resolve().parent.parent.parent
PACKAGE = HERE / "scripts" / "ophiolite"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the ground up; a module may import from its own folder and from every floor below, not from its neighbours.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "parquet", "geometry"),
    ("precomputed",),
    ("kernels",),
    ("sources", "layers", "config", "sample"),
    ("plan", "report"),
    ("stages",),
    ("commands",),
    ("__init__", "__main__"),
)
BELOW = dict(
    zip(
        (floor for floors in FLOORS for floor in floors),
        (set(below) for floors, below in zip(FLOORS, accumulate(FLOORS, initial=()), strict=False) for _ in floors),
        strict=True,
    )
) | {"geometry": {"errors"}}

MOST_LINES = 400
# Roots of folders that hold people's or machines' own files; taken apart here so that this file passes.
PRIVATE = re.compile(r"(?<![\w.~$}])/" + "(?:work|root|home|Users|mnt|scratch)" + r"/\w")
# Compiled kernels lie in a folder for each version of their code; the figure of stages follows its table.
UNDIGESTED = {"warm_up", "figure_stages"}
RULES = rules(HERE)
WORKING = [rule for rule in RULES if rule.works]


def floor_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.relative_to(PACKAGE).as_posix())
def test_floors_import_only_downward(module: Path) -> None:
    floor = floor_of(module)
    used = {name.partition(".")[0] for name in imported(ast.parse(module.read_text()))} - {floor, "__version__"}
    assert used <= BELOW[floor]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.relative_to(PACKAGE).as_posix())
def test_only_one_module_imports_numba(module: Path) -> None:
    found = re.search(r"^\s*(?:import|from)\s+numba", module.read_text(), re.MULTILINE)
    assert bool(found) == (module == PACKAGE / "kernels" / "compiled.py")


def test_the_library_does_not_know_snakemake() -> None:
    found = [m for m in MODULES if re.search(r"^\s*(?:import|from)\s+snakemake", m.read_text(), re.MULTILINE)]
    assert found == []


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=HERE, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    files = [HERE / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def test_files_of_code_are_short() -> None:
    code = [f for f in committed() if f.suffix in (".py", ".smk", ".sh") or f.name in ("Snakefile", "Makefile")]
    assert len(code) > 100
    assert [f"{f.relative_to(HERE)}: {n}" for f in code if (n := len(f.read_text().splitlines())) > MOST_LINES] == []


def test_no_committed_file_names_a_place_on_somebodys_machine() -> None:
    found = []
    for file in committed():
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{file.relative_to(HERE)}: {hit.group()}" for hit in PRIVATE.finditer(text)]
    assert found == []


def test_the_rules_read_from_text_are_those_snakemake_finds() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "snakemake", "--list-rules", "--quiet", "all"], cwd=HERE, capture_output=True, text=True
    )
    assert listed.returncode == 0, listed.stderr
    assert sorted(rule.name for rule in RULES) == sorted(listed.stdout.split())


@pytest.mark.parametrize("rule", WORKING, ids=lambda r: r.name)
def test_a_rule_calls_the_command_of_its_name(rule: SmkRule) -> None:
    if "script" in rule.directives:
        assert f"scripts/figures/{rule.name}.py" in rule.directives["script"]
        assert (HERE / "scripts" / "figures" / f"{rule.name}.py").is_file()
        return
    called = re.search(r"python -m ophiolite (\w+|{params.command})", rule.directives["shell"])
    assert called, rule.directives["shell"]
    name = rule.name if called[1] == "{params.command}" else called[1]
    assert name == rule.name
    assert name in command_names()
    assert called[1] == name or f'command=f"{rule.name}"' in rule.directives["params"]


@pytest.mark.parametrize("rule", WORKING, ids=lambda r: r.name)
def test_log_and_benchmark_carry_the_rules_name(rule: SmkRule) -> None:
    named = re.compile(rf'(?:_of\(f?"|/|\.){rule.name}["./]')
    assert named.search(rule.directives["log"])
    assert "{log:q}" in rule.directives.get("shell", "{log:q}")
    if "benchmark" in rule.directives:
        assert named.search(rule.directives["benchmark"])
    else:
        assert rule.local


@pytest.mark.parametrize("rule", WORKING, ids=lambda r: r.name)
def test_a_changed_setting_or_line_of_code_reruns_its_rule(rule: SmkRule) -> None:
    assert rule.local or rule.name in UNDIGESTED or "digest" in rule.directives["params"]


def test_every_command_explains_itself() -> None:
    for name in command_names():
        tree = ast.parse((PACKAGE / "commands" / f"{name}.py").read_text())
        assert (ast.get_docstring(tree) or "").endswith(".")
        assert {"add_arguments", "run"} <= {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
