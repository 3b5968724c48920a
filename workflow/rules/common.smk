import hashlib
import json
import os
import platform
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

SCRIPTS = Path(workflow.basedir).parent / "scripts"
ROOT = f"{config.get('store', 'results')}/{config.get('project', '')}"
PLAN = f"{ROOT}/plan.json"
NUMBA_CACHE = Path(ROOT).absolute() / "work" / f"numba-{platform.machine()}"
CODE = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(SCRIPTS.rglob("*.py")))).hexdigest()[:16]
PRODUCTS = ("mesh", "skeleton")

shell.prefix(f"export PYTHONPATH='{SCRIPTS}' NUMBA_CACHE_DIR='{NUMBA_CACHE}'; ")


wildcard_constraints:
    dataset=r"[a-z0-9_]+",
    layer=r"[a-z0-9_]+",
    block=r"[0-9]+-[0-9]+-[0-9]+",
    round=r"[0-9]+",
    part=r"[0-9]+",
    job=r"[0-9]+",
    product="|".join(PRODUCTS),


def validate_config():
    """Check the config against the schema; on a fault, say it in the model's words."""
    try:
        validate(config, str(Path(workflow.basedir) / "schemas" / "config.schema.json"), set_default=False)
    except WorkflowError:
        checked = subprocess.run(
            [sys.executable, "-m", "ophiolite", "check_config", "--config-json", json.dumps(config)],
            env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
            capture_output=True,
            text=True,
        )
        if checked.returncode:
            raise WorkflowError(checked.stderr.strip())
        raise


@lru_cache(maxsize=2)
def read_plan(modified):
    with open(PLAN) as file:
        return json.load(file)


def the_plan():
    """The plan as a dict, read once per state of the file."""
    return read_plan(os.stat(PLAN).st_mtime_ns)


def planned():
    """The plan, after the checkpoint that makes it."""
    checkpoints.make_plan.get()
    return the_plan()


def layer_plan(wildcards):
    return the_plan()["datasets"][wildcards.dataset]["layers"][wildcards.layer]


def digest(rule):
    """Params function: the digest of this rule's settings and code for the layer at hand."""
    return lambda wildcards: layer_plan(wildcards)["digests"][rule]


def memory(rule):
    """Resources function: memory of the plan's model, growing with each attempt."""
    return lambda wildcards, attempt: cost(rule, wildcards)["memory_mb"] * attempt


def runtime(rule):
    """Resources function: minutes, three times the estimate, growing with each attempt."""
    return lambda wildcards, attempt: max(10, int(cost(rule, wildcards)["seconds"] / 20)) * attempt


def disk(rule):
    """Resources function: room for what one job writes, and as much again for its finished tasks."""
    return lambda wildcards: 500 + int(4 * cost(rule, wildcards)["output_mb"] / cost(rule, wildcards)["jobs"])


def cost(rule, wildcards):
    costs = {c["rule"]: c for c in layer_plan(wildcards)["costs"]}
    return costs.get(rule, {"memory_mb": 800, "seconds": 30, "output_mb": 10, "jobs": 1})


def threads_of_jobs():
    return config.get("jobs", {}).get("threads", 1)


def receipt(rule, item=""):
    return f"{ROOT}/{{dataset}}/receipts/{{layer}}/{rule}" + (f"/{item}.json" if item else ".json")


def log_of(rule, item=""):
    return f"{ROOT}/{{dataset}}/logs/{rule}/{{layer}}" + (f".{item}.log" if item else ".log")


def benchmark_of(rule, item=""):
    return f"{ROOT}/{{dataset}}/benchmarks/{rule}/{{layer}}" + (f".{item}.tsv" if item else ".tsv")


def expand_layer(pattern, wildcards, **items):
    return expand(pattern, dataset=wildcards.dataset, layer=wildcards.layer, **items)


def block_names(grid):
    """Names x-y-z of the blocks of a task grid, zero-padded as the library does."""
    counts = [-(-n // b) for n, b in zip(grid["tasks"], grid["block_tasks"])]
    return [block_name((x, y, z), counts) for z in range(counts[2]) for y in range(counts[1]) for x in range(counts[0])]


def block_name(index, counts):
    return "-".join(f"{i:0{len(str(n - 1))}d}" for i, n in zip(index, counts))


def targets(*kinds):
    """Input function: the receipts that mean these kinds of product are done, for every layer of the project."""

    def of_plan(wildcards):
        return [
            path
            for dataset, data in planned()["datasets"].items()
            for layer, plan in data["layers"].items()
            for path in layer_targets(dataset, layer, plan, kinds)
        ]

    return of_plan


def layer_targets(dataset, layer, plan, kinds):
    base = f"{ROOT}/{dataset}/receipts/{layer}"
    if plan["kind"] == "refused":
        return [f"{base}/refused"]
    found = []
    if plan["kind"] == "annotations":
        return [f"{base}/annotation_layer.json"] if "annotations" in kinds else []
    if "image" in kinds:
        found.append(f"{base}/layer_done.json")
    found += [f"{base}/{p}_done.json" for p in PRODUCTS if p in kinds and plan[p]]
    if "objects" in kinds and plan["kind"] == "segmentation":
        found += [f"{base}/object_table/{part}.json" for part in range(plan["stats_parts"])]
        if plan["properties"]:
            found.append(f"{base}/segment_properties.json")
    return found
