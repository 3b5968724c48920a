"""Reading the config: YAML or JSON to the model, with messages a user can act on."""

from __future__ import annotations

import difflib
import json
import types
import typing
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ophiolite.config.model import Config
from ophiolite.errors import ConfigError, explain, redacted


def load_config(path: Path) -> Config:
    """Read and validate a config file; raises ConfigError that lists every fault with its place."""
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(
            explain(str(path), f"cannot be read ({error.strerror})", do="Check the --configfile argument")
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(explain(str(path), f"is not valid YAML: {error}", do="Correct the line it names")) from None
    if not isinstance(data, dict):
        raise ConfigError(
            explain(
                str(path),
                "holds no config",
                expected="keys project, datasets, ...",
                got=data,
                do="See config/README.md",
            )
        )
    return parse_config(data, str(path))


def parse_config(data: dict[str, Any], where: str) -> Config:
    """Validate config data; raises ConfigError that lists every fault with its place."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        lines = [_describe(fault) for fault in error.errors()]
        raise ConfigError(f"{where}: {len(lines)} fault(s).\n" + "\n".join(f"  {line}" for line in lines)) from None


def _describe(fault: Any) -> str:
    """One fault of the config as `place: what; what to do`."""
    path = [str(p) for p in fault["loc"] if p not in ("image", "segmentation", "annotations")]
    place = ".".join(path)
    if fault["type"] == "extra_forbidden":
        known = _keys_beside(fault["loc"])
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(sorted(known))}."
        return f"{place}: unknown key; {hint}"
    if fault["type"] == "missing":
        return f"{place}: is required and missing."
    return redacted(f"{place}: {fault['msg']}; got {fault['input']!r}.")


def _keys_beside(loc: tuple[Any, ...]) -> list[str]:
    """The keys the model knows where an unknown key was found."""
    here: Any = Config
    for part in loc[:-1]:
        here = _step(here, part)
        if here is None:
            return []
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _step(kind: Any, part: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return _unwrap(field.annotation) if field else None
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict:
        return _unwrap(args[1])
    if origin in (typing.Union, types.UnionType):
        for option in args:
            fields = getattr(option, "model_fields", {})
            if "type" in fields and part in typing.get_args(fields["type"].annotation):
                return option
    return None


def _unwrap(kind: Any) -> Any:
    """The model behind Annotated and Optional."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    args = [a for a in typing.get_args(kind) if a is not type(None)]
    if typing.get_origin(kind) in (typing.Union, types.UnionType) and len(args) == 1:
        return _unwrap(args[0])
    return kind


def parse_config_json(text: str) -> Config:
    """Validate a config given as JSON text; raises ConfigError that lists every fault with its place."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--config-json: is not valid JSON ({error}). Quote it for the shell.") from None
    return parse_config(data, "config")
