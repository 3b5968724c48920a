"""Digests that decide reruns: of settings, and of the code a command reaches.

A command's code is the file of its module and of every module it imports, transitively, wherever the import stands;
comments, formatting and docstrings do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent


def settings_digest(*values: Any) -> str:
    """Digest of JSON-like values, whatever the order of their keys."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def code_digest(module: str) -> str:
    """Digest of the code that a module of this package reaches, e.g. `commands.pyramid_blocks`."""
    return settings_digest({name: _parsed(text)[1] for name, text in _texts(module).items()})


def reachable(*modules: str) -> dict[str, ast.Module]:
    """Every module of this package that the given ones import, themselves included, directly or not, parsed."""
    return {name: ast.parse(text) for name, text in _texts(*modules).items()}


def _texts(*modules: str) -> dict[str, str]:
    """The text of every module that the given ones reach."""
    seen: dict[str, str | None] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in seen:
            file = _file(name)
            seen[name] = text = file.read_text() if file else None
            todo.extend(_parsed(text)[0] if text is not None else ())
    return {name: text for name, text in seen.items() if text is not None}


# Commands reach the same modules: each text is parsed once.
@functools.cache
def _parsed(text: str) -> tuple[list[str], str]:
    """What a module imports of this package, and its code."""
    tree = ast.parse(text)
    return imported(tree), ast.dump(_without_docstrings(tree))


def _file(module: str) -> Path | None:
    base = os.path.join(PACKAGE, *module.split("."))
    found = next((file for file in (f"{base}.py", f"{base}/__init__.py") if os.path.isfile(file)), None)
    return Path(found) if found else None


def imported(tree: ast.Module) -> list[str]:
    """Modules of this package that a tree names in its imports, with the packages above them."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
    own = [n.removeprefix("ophiolite.") for n in names if n.startswith("ophiolite.")]
    return own + [parent for n in own for parent in _parents(n)]


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree
