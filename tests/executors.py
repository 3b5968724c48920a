"""Where the executor plugins of the profiles are installed: in environments of their own, beside the one at hand."""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
PROFILES = {path.parent.name: path for path in sorted(REPOSITORY.glob("profiles/*/profile.v9+.yaml"))}
MODULE = "snakemake_executor_plugin_"


@lru_cache
def settings_of(profile: str) -> dict[str, object]:
    """What a profile says."""
    said: dict[str, object] = yaml.safe_load(PROFILES[profile].read_text())
    return said


@lru_cache
def python_of(profile: str) -> Path | None:
    """A Python whose environment has the plugins of a profile; None where there is none."""
    executor = str(settings_of(profile).get("executor", ""))
    if not executor:
        return Path(sys.executable)
    beside = Path(f"{sys.prefix}-{profile}") / "bin" / "python"
    test = f"import importlib.util, sys; sys.exit(not importlib.util.find_spec('{MODULE}{executor.replace('-', '_')}'))"
    for python in (Path(sys.executable), beside):
        if python.exists() and subprocess.run([python, "-c", test], capture_output=True, check=False).returncode == 0:
            return python
    return None


def why_absent(profile: str) -> str:
    """The reason of a skip."""
    return f"the executor plugin of profiles/{profile} is not installed: make setup-{profile}"
