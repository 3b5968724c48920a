"""What is generated from the config model: the page that documents every key, and the JSON schema."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ophiolite.config.checks import Compression, Quality
from ophiolite.config.model import (
    AnnotationLayer,
    Config,
    Dataset,
    Download,
    ImageLayer,
    Jobs,
    Report,
    SegmentationLayer,
)
from ophiolite.config.products import Encoding, Mesh, Pyramid, Skeleton
from ophiolite.config.slides import Card, Patches, Scores, SlideMask, SlidePyramid, Slides, Splits

HEAD = """# The config file

One YAML file per project; everything lands in `<store>/<project>/`. Unknown keys are refused, with the nearest name.
Sizes in voxels end in `_vx`, lengths in nanometres in `_nm`; every triple is x, y, z. This page is generated from the
model in `scripts/ophiolite/config/` by `make docs`.

Shipped configs: `config.yaml` (the demo), `fib25.yaml`, `fib25_cremi_layout.yaml` (the same volume, repacked, from a
mirror), `cremi.yaml`; copy one and edit it.
"""

SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("The project", Config),
    ("`datasets.<name>`", Dataset),
    ("`datasets.<name>.downloads.<file>`", Download),
    ("`layers.<name>` with `type: image`", ImageLayer),
    ("`layers.<name>` with `type: segmentation`", SegmentationLayer),
    ("`layers.<name>` with `type: annotations`", AnnotationLayer),
    ("`pyramid`", Pyramid),
    ("`pyramid.mips.<mip>`", Encoding),
    ("`mesh`", Mesh),
    ("`skeleton`", Skeleton),
    ("`slides`", Slides),
    ("`slides.pyramid`", SlidePyramid),
    ("`slides.mask`", SlideMask),
    ("`slides.patches`", Patches),
    ("`slides.splits`", Splits),
    ("`slides.scores`", Scores),
    ("`slides.card`", Card),
    ("`jobs`", Jobs),
    ("`report`", Report),
    ("`quality`", Quality),
    ("`compression`", Compression),
)


def generated_files() -> dict[str, str]:
    """Path in the repository -> text of every file generated from the model."""
    model = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    schema = json.dumps(model, indent=2, sort_keys=True) + "\n"
    return {"config/README.md": config_page(), "workflow/schemas/config.schema.json": schema}


def stale_files(repository: Path) -> list[str]:
    """Generated files that differ from what the model says."""
    return [
        path
        for path, text in generated_files().items()
        if not (repository / path).is_file() or (repository / path).read_text() != text
    ]


def config_page() -> str:
    """The page that documents every key."""
    parts = [HEAD]
    for title, model in SECTIONS:
        parts += [
            f"\n## {title}\n",
            f"{(model.__doc__ or '').strip()}\n",
            "| key | default | meaning |",
            "| --- | --- | --- |",
        ]
        parts += list(_rows(model))
    return "\n".join(parts) + "\n"


def _rows(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"| `{name}` | {_default(field)} | {_meaning(field)} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.default
    if value is PydanticUndefined:
        made = field.default_factory() if field.default_factory else None  # type: ignore[call-arg]
        return "see below" if isinstance(made, BaseModel) else f"`{json.dumps(made)}`"
    return "none" if value is None else f"`{json.dumps(value)}`"


def _meaning(field: FieldInfo) -> str:
    text = (field.description or "see below").replace("|", "\\|")
    choices = _choices(field.annotation)
    return f"{text} (one of {', '.join(f'`{c}`' for c in choices)})" if len(choices) > 1 else text


def _choices(kind: Any) -> list[str]:
    if typing.get_origin(kind) is typing.Literal:
        return [str(a) for a in typing.get_args(kind)]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        literals = [a for a in typing.get_args(kind) if typing.get_origin(a) is typing.Literal]
        return [c for a in literals for c in _choices(a)]
    return []
