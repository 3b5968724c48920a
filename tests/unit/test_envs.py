"""Every rule's environment holds what its command imports, no more, in the minor versions of the lock."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from ophiolite.plan.digest import imported, reachable
from smk_rules import SmkRule, rules

PYTHON = "3.11"
# Distributions by the name they are imported by, where it is another one; reviewed by hand.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "DracoPy": "dracopy",
    "cc3d": "connected-components-3d",
    "compressed_segmentation": "compressed-segmentation",
    "crackle": "crackle-codec",
    "fill_voids": "fill-voids",
    "google": "google-auth",
    "nrrd": "pynrrd",
    "openslide": "openslide-python",
    "serra_mesh": "serra-mesh",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}
# Packages by the name conda-forge gives them, where it is another one than the package index's.
CONDA_NAMES = {"matplotlib-base": "matplotlib"}
# What conda-forge lacks, or holds in versions older than the lock's; it comes from the package index.
FROM_INDEX = {
    "compressed-segmentation",
    "compresso",
    "connected-components-3d",
    "crackle-codec",
    "deflate",
    "dracopy",
    "edt",
    "fastremap",
    "fill-voids",
    "kimimaro",
    "serra-mesh",
    "tensorstore",
    "zmesh",
}

HERE = Path(__file__).resolve().parent.parent.parent
WORKING = [rule for rule in rules(HERE) if rule.works]
ENVS = sorted((HERE / "envs").glob("*.yaml"))


def third_party(trees: list[ast.Module]) -> set[str]:
    """Distributions that trees import, outside `if TYPE_CHECKING:`."""
    names: set[str] = set()
    todo: list[ast.AST] = list(trees)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            names.update(a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo.extend(node.orelse)
        else:
            todo.extend(ast.iter_child_nodes(node))
    roots = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"ophiolite"}
    return {DISTRIBUTIONS.get(name, name) for name in roots}


def needs(rule: SmkRule) -> set[str]:
    """Distributions that a rule's command or script can import."""
    if "script" in rule.directives:
        text = (HERE / "scripts" / "figures" / f"{rule.name}.py").read_text()
        script = ast.parse(text)
        return third_party([script, *reachable(*imported(script)).values()]) - {"snakemake"}
    return third_party([*reachable(f"commands.{rule.name}", "__main__").values()])


def listed(env: Path) -> dict[str, str]:
    """Distribution -> pinned version of an environment; from the package index those that `FROM_INDEX` names."""
    found: dict[str, str] = {}
    for entry in yaml.safe_load(env.read_text())["dependencies"]:
        if isinstance(entry, dict):
            pins = [re.fullmatch(r"([a-z0-9-]+) ==([0-9]+\.[0-9]+)\.\*", text) for text in entry["pip"]]
            assert all(pins), entry
            index = {pin[1]: pin[2] for pin in pins if pin}
            assert index.keys() <= FROM_INDEX, env.name
            found |= index
        elif entry != "pip":
            pin = re.fullmatch(r"([a-z0-9-]+) =([0-9]+\.[0-9]+)", entry)
            assert pin, f"{env.name}: {entry} is not pinned to a minor version"
            assert pin[1] not in FROM_INDEX, env.name
            found[CONDA_NAMES.get(pin[1], pin[1])] = pin[2]
    return found


def locked() -> dict[str, str]:
    """Distribution -> version in the lock, for the Python of the environments."""
    versions: dict[str, str] = {}
    for line in (HERE / "requirements" / "lock.txt").read_text().splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.rstrip("\\ "))
            facts = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0", "sys_platform": "linux"}
            if requirement.marker is None or requirement.marker.evaluate(facts):
                versions[requirement.name.lower()] = str(requirement.specifier).removeprefix("==")
    return versions


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_an_environment_holds_what_its_rules_import_and_no_more(env: Path) -> None:
    users = [rule for rule in WORKING if rule.env == env.stem]
    assert users, f"no rule uses {env.name}"
    wanted = set().union(*(needs(rule) for rule in users))
    assert set(listed(env)) - {"python"} == wanted


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_pins_are_the_minor_versions_of_the_lock(env: Path) -> None:
    lock = locked()
    for name, version in listed(env).items():
        if name == "python":
            assert version == PYTHON
        else:
            assert lock[name].split(".")[:2] == version.split("."), f"{env.name}: {name}"


@pytest.mark.parametrize("env", ENVS, ids=lambda env: env.stem)
def test_channels_are_free_ones_only(env: Path) -> None:
    assert yaml.safe_load(env.read_text())["channels"] == ["conda-forge", "nodefaults"]


def test_every_rule_has_an_environment() -> None:
    assert {rule.env for rule in WORKING} == {env.stem for env in ENVS}


def test_what_only_type_checkers_import_does_not_count() -> None:
    tree = ast.parse(
        "import os\nif TYPE_CHECKING:\n    import h5py\nelse:\n    import nrrd\ndef f():\n    import numpy.typing"
    )
    assert third_party([tree]) == {"numpy", "pynrrd"}
