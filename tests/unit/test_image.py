"""The container image holds the locked environment and all that a run reads; nothing else is sent to its build."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# What a run reads: see `CHECKOUT` in workflow/rules/common.smk, and the default config.
READ = {"config", "envs", "profiles", "scripts", "workflow"}


def test_the_image_is_made_of_the_lock_and_of_all_that_a_run_reads() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()
    copied = dict(re.findall(r"^COPY (\S+) (\S+)$", text, re.MULTILINE))
    assert READ | {"requirements/lock.txt"} <= copied.keys()
    assert [source for source in copied if not (REPOSITORY / source).exists()] == []
    assert all(source == target for source, target in copied.items())
    assert "--require-hashes -r requirements/lock.txt" in text
    (folder,) = re.findall(r"^WORKDIR (\S+)$", text, re.MULTILINE)
    assert f"ENV PYTHONPATH={folder}/scripts" in text
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert "ENV PIP_NO_DEPS=1" in text
    assert {line[1:] for line in ignored if line.startswith("!")} == copied.keys()
