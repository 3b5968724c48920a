"""Digests of code: what a command reaches decides its reruns, comments and docstrings do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ophiolite.plan import digest

FILES = {
    "commands/run.py": '"""Run."""\nfrom ophiolite.stages import work\n',
    "stages/__init__.py": "",
    "stages/work.py": "def go() -> int:\n    from ophiolite.kernels.deep import VALUE\n    return VALUE\n",
    "kernels/deep.py": "VALUE = 1  # one\n",
    "kernels/other.py": "VALUE = 1\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(digest, "PACKAGE", tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def fresh() -> str:
    digest.code_digest.cache_clear()
    return digest.code_digest("commands.run")


def test_a_command_reaches_what_its_imports_import_wherever_they_stand(package: Path) -> None:
    assert sorted(digest.reachable("commands.run")) == ["commands.run", "kernels.deep", "stages", "stages.work"]


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        ("kernels/deep.py", "VALUE = 2\n", True),
        ("kernels/deep.py", '"""Deep."""\n\nVALUE   =   1\n', False),
        ("commands/run.py", "from ophiolite.stages import work  # the same\n", False),
        ("kernels/other.py", "VALUE = 2\n", False),
        ("stages/__init__.py", "import json\n", True),
    ],
)
def test_only_code_that_a_command_reaches_changes_its_digest(
    package: Path, file: str, text: str, changes: bool
) -> None:
    before = fresh()
    (package / file).write_text(text)
    assert (fresh() != before) is changes


def test_settings_are_digested_whatever_the_order_of_their_keys() -> None:
    assert digest.settings_digest({"a": 1, "b": [2, 3]}) == digest.settings_digest({"b": [2, 3], "a": 1})
    assert digest.settings_digest({"a": 1}) != digest.settings_digest({"a": 2})
    assert digest.settings_digest([1], [2]) != digest.settings_digest([1, 2])
