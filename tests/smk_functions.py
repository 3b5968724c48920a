"""Functions of the workflow's rule files, run by themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

RULES = Path(__file__).resolve().parent.parent / "workflow" / "rules"


def smk_function(name: str, *needed: str, **given: Any) -> Any:
    """The function `name` of the rule files, with others that it calls (`needed`) and what else it finds (`given`)."""
    texts = [path.read_text() for path in sorted(RULES.glob("*.smk"))]
    found = dict(given)
    for wanted in (*needed, name):
        text = next(text for text in texts if f"def {wanted}(" in text)
        exec(re.split(r"\n(?=\S)", text[text.index(f"def {wanted}(") :], maxsplit=1)[0], found)
    return found[name]
