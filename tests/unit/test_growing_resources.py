"""Every job asks for the memory and time of the plan, and for more of both each time it is tried again."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from smk_functions import RULES, smk_function
from smk_rules import rules

JOB = SimpleNamespace(dataset="d", layer="v", block="0-0-0")
COSTS = [
    {"rule": "mesh_fragments", "memory_mb": 1500, "seconds": 1200, "output_mb": 10, "jobs": 1},
    {"rule": "layer_info", "memory_mb": 300, "seconds": 1, "output_mb": 1, "jobs": 1},
]
HEAD = re.compile(r"^def (\w+)\(", re.M)
# It is multiplied here, or by what it is handed on to.
GROWS = re.compile(r"\* attempt\b|\(wildcards, attempt\)(?!:)")


def asked(resource: str, rule: str, attempt: int, *, on_cluster: bool = False) -> int:
    """MB or minutes that a job asks for."""
    names: dict[str, Any] = {
        "layer_plan": lambda wildcards: {"costs": COSTS},
        "workflow": SimpleNamespace(non_local_exec=on_cluster),
        "SNAKEMAKE_MB": 400,
    }
    of_rule = smk_function(resource, "with_snakemake", "cost", **names)
    found: int = of_rule(rule)(JOB, attempt)
    return found


def test_memory_is_the_plan_s_and_grows_with_each_attempt() -> None:
    assert [asked("memory", "mesh_fragments", n) for n in (1, 2, 3)] == [1500, 3000, 4500]
    assert [asked("memory", "mesh_fragments", n, on_cluster=True) for n in (1, 2)] == [1900, 3400]
    assert [asked("memory", "not_planned", n) for n in (1, 2)] == [800, 1600]


def test_time_is_three_times_the_plan_s_and_grows_with_each_attempt() -> None:
    assert [asked("runtime", "mesh_fragments", n) for n in (1, 2, 3)] == [60, 120, 180]
    assert [asked("runtime", "layer_info", n) for n in (1, 2)] == [10, 20]


def functions() -> dict[str, str]:
    """The text of every function of the rule files, by name."""
    texts = [part for path in sorted(RULES.glob("*.smk")) for part in re.split(r"\n(?=\S)", path.read_text())]
    return {HEAD.findall(text)[0]: text for text in texts if HEAD.match(text)}


def asked_by_rules(name: str) -> dict[str, str]:
    """What stands behind `mem_mb=` or `runtime=`, by rule."""
    found = {}
    for rule in rules(Path(__file__).resolve().parent.parent.parent):
        line = re.search(rf"\b{name}=(.*),$", rule.directives.get("resources", ""), re.M)
        if rule.works and line:
            found[rule.name] = line[1]
    return found


@pytest.mark.parametrize(("resource", "rules_asking"), [("mem_mb", 41), ("runtime", 39)])
def test_what_any_rule_asks_for_grows_with_each_attempt(resource: str, rules_asking: int) -> None:
    known, asking = functions(), asked_by_rules(resource)
    assert len(asking) >= rules_asking
    for rule, text in asking.items():
        named, is_lambda, _ = text.partition("lambda ")
        called = [known[name] for name in re.findall(r"\w+", named) if name in known]
        assert all(GROWS.search(part) for part in called), f"{rule}: {resource}={text}"
        assert GROWS.search(text) if is_lambda else called, f"{rule}: {resource}={text}"
