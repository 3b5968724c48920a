"""What AWS Batch and Google Batch are asked for: memory, threads and time of the plan, in their plugins' own terms."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.common.tbdstring import TBDString
from snakemake.exceptions import WorkflowError
from snakemake.resources import Resources

from executors import REPOSITORY, python_of, settings_of, why_absent

FILE = REPOSITORY / "workflow" / "rules" / "batch_services_inputs.smk"
RULES: dict[str, dict[str, Any]] = {
    "pyramid_blocks": {
        "_cores": 2,
        "mem_mb": lambda wildcards, attempt: 3000 * attempt,
        "runtime": lambda wildcards, attempt: 90 * attempt,
    },
    "report_page": {"_cores": 1, "mem_mb": lambda wildcards, attempt: 1200 * attempt},
    "unfinished": {"_cores": 1, "mem_mb": lambda wildcards, input: TBDString()},
    "verify": {"_cores": 64, "mem_mb": 1000},
    "all": {"_cores": 1},
}
# The judge of a job's size, in the environment of its plugin.
JUDGE = """
import json, sys
from types import SimpleNamespace
from snakemake_executor_plugin_aws_batch.batch_job_builder import BatchJobBuilder
judge = SimpleNamespace(logger=SimpleNamespace(warning=print))
print(json.dumps([BatchJobBuilder._validate_resources(judge, *map(str, size)) for size in json.loads(sys.argv[1])]))
"""
# What a job's machine is told by Google's plugin, where the job's command is COMMAND.
ENTRY = "from snakemake_executor_plugin_googlebatch.command import COSWriter; print(COSWriter('COMMAND').setup())"


def services(executor: str | None) -> dict[str, Any]:
    """The names of the rule file, after it went through some rules in a run of this executor."""
    rules = [
        SimpleNamespace(name=name, norun=name == "all", resources=Resources.from_mapping(dict(asked)))
        for name, asked in RULES.items()
    ]
    workflow = SimpleNamespace(
        rules=rules,
        non_local_exec=executor is not None,
        executor_plugin=SimpleNamespace(name=executor),
        is_local=lambda one: one.name == "verify",
    )
    found: dict[str, Any] = {"workflow": workflow, "WorkflowError": WorkflowError}
    exec(FILE.read_text(), found)
    return found


def asked(executor: str | None, name: str, attempt: int = 1) -> dict[str, Any]:
    """The resources of a job of a rule, as Snakemake evaluates them."""
    (one,) = [one for one in services(executor)["workflow"].rules if one.name == name]
    known = {"input": [], "attempt": attempt, "rulename": name, "async_run": None}
    threads = one.resources["_cores"].evaluate({}, **known).value
    values = {key: one.resources[key].evaluate({}, threads=threads, **known).value for key in one.resources}
    return {key: value for key, value in {**values, "_cores": threads}.items() if value is not None}


@pytest.mark.parametrize("executor", [None, "kubernetes", "slurm"])
def test_other_executors_get_what_the_rules_say(executor: str | None) -> None:
    assert asked(executor, "pyramid_blocks", 2) == {"_cores": 2, "mem_mb": 6000, "runtime": 180}


def test_what_grew_beyond_the_largest_machine_of_aws_is_tried_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES["report_page"], "mem_mb", lambda wildcards, attempt: 41_000 * attempt)
    assert asked("aws-batch", "report_page", 2)["mem_mb"] == 90112
    assert asked("aws-batch", "report_page", 4)["mem_mb"] == 122880


def test_what_is_asked_of_google_by_hand_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES["report_page"], "googlebatch_memory", 9000)
    assert asked("googlebatch", "report_page")["googlebatch_memory"] == 9000


def test_google_is_told_the_memory_and_time_of_each_try() -> None:
    mine = {"googlebatch_cpu_milli": 2000, "googlebatch_memory": 6000, "googlebatch_max_run_duration": "11400s"}
    assert asked("googlebatch", "pyramid_blocks", 2) == {"_cores": 2, "mem_mb": 6000, "runtime": 180, **mine}
    assert asked("googlebatch", "report_page")["googlebatch_memory"] == 1200


@pytest.mark.parametrize(
    ("cores", "memory_mb", "size"),
    [
        (1, 300, (1, 2048)),
        (1, 2049, (1, 3072)),
        (1, 8193, (2, 9216)),
        (2, 3000, (2, 4096)),
        (3, 3000, (4, 8192)),
        (1, 30721, (8, 32768)),
        (16, 1000, (16, 32768)),
        (1, 122880, (16, 122880)),
    ],
)
def test_aws_gets_the_smallest_size_that_is_large_enough(cores: int, memory_mb: int, size: tuple[int, int]) -> None:
    assert services("aws-batch")["aws_size"](cores, memory_mb) == size


def test_aws_is_never_given_less_than_the_rule_asks_for() -> None:
    assert asked("aws-batch", "pyramid_blocks") == {"_cores": 2, "mem_mb": 4096, "runtime": 90}
    assert asked("aws-batch", "pyramid_blocks", 4) == {"_cores": 2, "mem_mb": 12288, "runtime": 360}
    assert asked("aws-batch", "verify") == {"_cores": 64, "mem_mb": 1000}
    assert isinstance(asked("aws-batch", "unfinished")["mem_mb"], TBDString)


def test_a_job_too_large_for_aws_is_refused() -> None:
    with pytest.raises(WorkflowError, match="1 threads and 122881 MB is larger than any"):
        services("aws-batch")["aws_size"](1, 122881)


def test_the_plugin_of_aws_takes_every_size_as_it_is() -> None:
    found = services("aws-batch")
    sizes = [
        found["aws_size"](cores, memory) for cores in (1, 2, 3, 4, 7, 8, 16) for memory in range(500, 122_880, 777)
    ]
    python = python_of("aws-batch")
    if python is None:
        pytest.skip(why_absent("aws-batch"))
    done = subprocess.run([python, "-c", JUDGE, json.dumps(sizes)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[str(vcpu), str(mib)] for vcpu, mib in sizes]


@pytest.mark.parametrize(("command", "code"), [("true", 0), ("exit 3", 3), ("sh -c 'exit 4'", 4), ("false && true", 1)])
def test_google_hears_of_a_job_that_failed(command: str, code: int, tmp_path: Path) -> None:
    """The plugin ends each job with installations of its own, whose end would be taken for the job's."""
    python = python_of("google-batch")
    if python is None:
        pytest.skip(why_absent("google-batch"))
    told = subprocess.run([python, "-c", ENTRY], capture_output=True, text=True, check=True).stdout
    assert "python3 -m pip install" in told
    told = told.replace("COMMAND", f"{settings_of('google-batch')['precommand']} && {command}")
    script = told.replace("/tmp/workdir", str(tmp_path))
    subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    done = subprocess.run(["bash", tmp_path / "entrypoint.sh"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
