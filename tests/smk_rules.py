"""The rules of the workflow as text: what stands under each directive, for tests that hold them to the house's form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PRODUCTS = ("mesh", "skeleton")
HEAD = re.compile(r"^( *)(?:rule|checkpoint)(?: (\w+))?:$")
DIRECTIVE = re.compile(r"^ *(\w+):(.*)$")


@dataclass(frozen=True)
class SmkRule:
    """One rule; `directives` are their texts by name, with `{product}` filled in where a loop makes the rule."""

    name: str
    file: str
    directives: dict[str, str]

    @property
    def works(self) -> bool:
        """False for targets, which only name what they want."""
        return "shell" in self.directives or "script" in self.directives

    @property
    def local(self) -> bool:
        """True where it never leaves the machine that runs snakemake."""
        return self.directives.get("localrule") == "True"

    @property
    def env(self) -> str:
        """Name of its environment file, without `.yaml`."""
        return Path(self.directives["conda"].strip('f",\n ')).stem


def rules(repository: Path) -> list[SmkRule]:
    """Every rule of the workflow."""
    files = [repository / "workflow" / "Snakefile", *sorted((repository / "workflow" / "rules").glob("*.smk"))]
    return [rule for file in files for block in _blocks(file.read_text()) for rule in _expanded(file.name, *block)]


def _blocks(text: str) -> list[tuple[str | None, dict[str, str]]]:
    """(name, directives) of every rule in a file's text."""
    lines, found = text.split("\n"), []
    for number, line in enumerate(lines):
        head = HEAD.match(line)
        if head:
            indent = len(head[1])
            body = []
            for below in lines[number + 1 :]:
                if below.strip() and len(below) - len(below.lstrip()) <= indent:
                    break
                body.append(below)
            found.append((head[2], _directives(body, indent + 4)))
    return found


def _directives(body: list[str], indent: int) -> dict[str, str]:
    out: dict[str, str] = {}
    name = ""
    for line in body:
        own = DIRECTIVE.match(line) if line[:indent].isspace() and not line[indent : indent + 1].isspace() else None
        if own:
            name = own[1]
            out[name] = own[2].strip()
        elif name:
            out[name] = f"{out[name]}\n{line}".strip()
    return out


def _expanded(file: str, name: str | None, directives: dict[str, str]) -> list[SmkRule]:
    if name is not None:
        return [SmkRule(name, file, directives)]
    made = []
    for product in PRODUCTS:
        filled = {key: text.replace("{product}", product) for key, text in directives.items()}
        made.append(SmkRule(filled["name"].strip('f",'), file, filled))
    return made
