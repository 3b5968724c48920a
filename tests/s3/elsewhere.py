"""An executor plugin whose jobs share nothing with who submits them, as pods do: each runs in a new and empty folder.

What it tells Snakemake of itself is what the plugins of Kubernetes, AWS Batch and Google Batch say. A job gets the
shell command that a pod would get, and of Python paths only `ELSEWHERE_PATH`, which stands for the image. In its folder
lie afterwards `job.log` and the resources that it was given, `resources.json`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=True,
    job_deploy_sources=True,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=True,
)


class Executor(RemoteExecutor):  # type: ignore[misc]
    """Runs jobs below `ELSEWHERE_FOLDER`."""

    def __post_init__(self) -> None:
        self.next_seconds_between_status_checks = 0.2

    def run_job(self, job: Any) -> None:
        folder = Path(tempfile.mkdtemp(prefix=f"{job.name}.", dir=os.environ["ELSEWHERE_FOLDER"]))
        (folder / "resources.json").write_text(json.dumps(dict(job.resources)))
        with (folder / "job.log").open("wb") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", self.format_job_exec(job)],
                cwd=folder,
                env={**os.environ, **self.envvars(), "PYTHONPATH": os.environ["ELSEWHERE_PATH"]},
                stdout=log,
                stderr=log,
            )
        self.report_job_submission(SubmittedJobInfo(job, external_jobid=folder.name, aux={"process": process}))

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        for info in active_jobs:
            code = info.aux["process"].poll()
            if code is None:
                yield info
            elif code == 0:
                self.report_job_success(info)
            else:
                self.report_job_error(info)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        for info in active_jobs:
            info.aux["process"].kill()
