import glob
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

# Of this file, also where another workflow uses it as a module.
CHECKOUT = Path(str(workflow.current_basedir)).parents[1]
SCRIPTS = CHECKOUT / "scripts"
STORE = config.get("store", "results")
# A bucket holds bulk files only; what Snakemake tracks lies in a folder.
RESULTS = (config.get("results") or "results") if "://" in STORE else STORE
ROOT = f"{RESULTS}/{config.get('project', '')}"
PLAN = f"{ROOT}/plan.json"
# Where Snakemake puts it: under the prefix that a workflow gives to this one as its module; and where a profile keeps
# all that is tracked in a bucket, in Snakemake's local copy of that.
PLACED = workflow.modifier.path_modifier.modify(PLAN)
STORED = getattr(PLACED, "flags", {}).get("storage_object")
PLAN_FILE = str(STORED.local_path() if STORED else PLACED)
RESULTS_FOLDER = Path(PLAN_FILE).parent.parent


def digest_of(folder):
    return hashlib.sha256(b"".join(p.read_bytes() for p in sorted(folder.rglob("*.py")))).hexdigest()[:16]


CODE = digest_of(SCRIPTS)
# By code: of a kernel's file numba sees that it has changed, but not of those whose functions are compiled into it.
NUMBA_CACHE = RESULTS_FOLDER.absolute() / f".numba-{platform.machine()}" / digest_of(SCRIPTS / "ophiolite" / "kernels")
WARM = f"{ROOT}/receipts/warm_up.json"
PRODUCTS = ("mesh", "skeleton")
UNREADABLE = "check the disk and who may read it; a file that is lost is to be removed, running again remakes it"
# What Snakemake needs inside each job of a cluster, where it starts twice: for the job, and for its step.
SNAKEMAKE_MB = 400

SHELL_PREFIX = f"export PYTHONPATH={shlex.quote(str(SCRIPTS))} NUMBA_CACHE_DIR={shlex.quote(str(NUMBA_CACHE))}; "
# Snakemake formats it as it does a rule's command.
shell.prefix(SHELL_PREFIX.replace("{", "{{").replace("}", "}}"))

if STORED and "://" not in STORE:
    raise WorkflowError(
        f"store: {STORE} is a folder, but this profile sends jobs to machines that share none, where layers would be lost."
        " Name a bucket: s3://... or gs://..."
    )

if STORED and not os.path.exists(PLAN_FILE) and STORED.exists():  # as in each job on a machine of its own
    os.makedirs(os.path.dirname(PLAN_FILE), exist_ok=True)
    STORED.retrieve_object()


wildcard_constraints:
    dataset=r"[a-z0-9_]+",
    download=r"[^/]+",
    layer=r"[a-z0-9_]+",
    block=r"[0-9]+-[0-9]+-[0-9]+",
    round=r"[0-9]+",
    part=r"[0-9]+",
    job=r"[0-9]+",
    damaged=r"[a-z_]+",
    item=r"[a-z0-9.-]+",
    product="|".join(PRODUCTS),


def validate_config():
    """Check the config against the schema; on a fault, say it in the model's words."""
    try:
        validate(
            config,
            str(CHECKOUT / "workflow" / "schemas" / "config.schema.json"),
            set_default=False,
        )
    except WorkflowError:
        checked = subprocess.run(
            [
                sys.executable,
                "-m",
                "ophiolite",
                "check_config",
                "--config-json",
                json.dumps(config),
            ],
            env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
            capture_output=True,
            text=True,
        )
        if checked.returncode:
            raise WorkflowError(checked.stderr.strip())
        raise


@lru_cache(maxsize=2)
def read_plan(modified):
    try:
        with open(PLAN_FILE) as file:
            return json.load(file)
    except OSError as error:
        raise WorkflowError(f"{PLAN_FILE} cannot be read ({error.strerror}): {UNREADABLE}")
    except ValueError as error:
        raise WorkflowError(f"{PLAN_FILE} is no plan ({error}): remove it, then `snakemake plan`")


def the_plan():
    """The plan as a dict, read once per state of the file."""
    return read_plan(os.stat(PLAN_FILE).st_mtime_ns)


# Asked for by every job; Snakemake works out the files of the checkpoint anew each time.
@lru_cache(maxsize=None)
def wait_for_plan():
    checkpoints.make_plan.get()


def planned():
    """The plan, after the checkpoint that makes it."""
    wait_for_plan()
    return the_plan()


def layer_plan(wildcards):
    return the_plan()["datasets"][wildcards.dataset]["layers"][wildcards.layer]


def job_arguments(wildcards):
    """Params function: what every command of a layer is told."""
    return f"--plan {shlex.quote(PLAN_FILE)} --dataset {wildcards.dataset} --layer {wildcards.layer}"


def digest(name):
    """Params function: the digest of this rule's settings and code for the layer at hand; older plans may lack it."""
    return lambda wildcards: layer_plan(wildcards)["digests"].get(name, "to be planned")


def project_digest(name):
    """Params function: the digest of a rule that serves the whole project; a plan of older code may lack it."""
    return lambda wildcards: the_plan()["digests"].get(name, "to be planned")


def memory(name):
    """Resources function: memory of the plan's model, growing with each attempt."""
    return with_snakemake(lambda wildcards, attempt: cost(name, wildcards)["memory_mb"] * attempt)


def with_snakemake(memory_mb):
    """Resources function: what a command needs, and on a cluster what Snakemake needs beside it."""
    return lambda wildcards, attempt: memory_mb(wildcards, attempt) + SNAKEMAKE_MB * workflow.non_local_exec


def memory_of_merge(product):
    """Resources function: what the index says that a merge job takes; the plan's model where it says nothing."""

    def of_job(wildcards, input, attempt):
        # Receipts in a bucket come to the job, not to whoever submits it.
        known = None if STORED else memory_of_index(input.index)
        planned = known[int(wildcards.job)] if known else cost(f"{product}_shards", wildcards)["memory_mb"]
        return planned * attempt + SNAKEMAKE_MB * workflow.non_local_exec

    return of_job


def memory_of_index(index):
    """What the receipt of an index says that each merge job takes, in MB; None where it says nothing."""
    try:
        with open(index) as file:
            return json.load(file)["facts"].get("memory_mb")
    except FileNotFoundError:  # Snakemake asks again before the job
        raise
    except OSError as error:
        raise WorkflowError(f"{index} cannot be read ({error.strerror}): {UNREADABLE}")
    except (ValueError, KeyError, TypeError):
        raise WorkflowError(f"{index} is no sound receipt: `snakemake verify`, then `snakemake heal`")


def runtime(name):
    """Resources function: minutes, three times the estimate, growing with each attempt."""
    return lambda wildcards, attempt: max(10, int(cost(name, wildcards)["seconds"] / 20)) * attempt


def disk(name):
    """Resources function: room for what one job writes, as much again for its finished tasks, and its scratch files."""

    def of_job(wildcards):
        planned = cost(name, wildcards)
        return 500 + int(4 * planned["output_mb"] / planned["jobs"] + planned.get("scratch_mb", 0))

    return of_job


def cost(name, wildcards):
    costs = {c["rule"]: c for c in layer_plan(wildcards)["costs"]}
    return costs.get(name, {"memory_mb": 800, "seconds": 30, "output_mb": 10, "jobs": 1})


def threads_of_jobs():
    return config.get("jobs", {}).get("threads", 1)


def receipt(name, item=""):
    """Pattern of the receipts of a rule, for all its items or for the layer."""
    parts = ("{dataset}", "receipts", "{layer}", name, item)
    return os.path.join(ROOT, *filter(None, parts)) + ".json"


def log_of(name, item=""):
    return layer_file("logs", name, item, "log")


def benchmark_of(name, item=""):
    return layer_file("benchmarks", name, item, "tsv")


def layer_file(folder, name, item, ending):
    """Pattern of one file per job of a rule: `<folder>/<rule>/<layer>.<item>.<ending>`."""
    file = ".".join(filter(None, ("{layer}", item, ending)))
    return os.path.join(ROOT, "{dataset}", folder, name, file)


def expand_layer(pattern, wildcards, **items):
    return expand(pattern, dataset=wildcards.dataset, layer=wildcards.layer, **items)


def block_names(grid):
    """Names x-y-z of the blocks of a task grid, zero-padded as the library does."""
    counts = [-(-n // b) for n, b in zip(grid["tasks"], grid["block_tasks"])]
    return [block_name((x, y, z), counts) for z in range(counts[2]) for y in range(counts[1]) for x in range(counts[0])]


def block_name(index, counts):
    return "-".join(f"{i:0{len(str(n - 1))}d}" for i, n in zip(index, counts))
