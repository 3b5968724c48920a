"""The config model: defaults, and messages that name the place and what to do."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from ophiolite.config import load_config
from ophiolite.config.load import parse_config, parse_config_json
from ophiolite.config.model import AnnotationLayer, ImageLayer, SegmentationLayer
from ophiolite.errors import ConfigError, explain

CONFIG: dict[str, Any] = {
    "project": "p",
    "datasets": {
        "d": {
            "layers": {
                "em": {"type": "image", "source": "v.h5:/raw"},
                "cells": {"type": "segmentation", "source": "v.h5:/labels", "mesh": {}, "skeleton": {}},
                "synapses": {"type": "annotations", "source": "v.h5:/annotations", "segmentation": "cells"},
            }
        }
    },
}


def with_value(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    *above, name = path.split(".")
    part: Any = config
    for key in above:
        part = part.setdefault(key, {})
    part[name] = value
    return config


def test_what_is_left_out_has_a_default() -> None:
    config = parse_config(CONFIG, "test")
    layers = config.datasets["d"].layers
    image, cells, synapses = layers["em"], layers["cells"], layers["synapses"]
    assert isinstance(image, ImageLayer)
    assert isinstance(cells, SegmentationLayer)
    assert isinstance(synapses, AnnotationLayer)
    assert config.store == "results"
    assert image.pyramid.factors == "auto"
    assert cells.mesh is not None
    assert cells.mesh.quantization_bits == 16
    assert cells.properties
    with pytest.raises(ValidationError):
        image.pyramid.sharded = False  # type: ignore[misc]


def test_yaml_and_json_are_the_same_config(tmp_path: Path) -> None:
    config = with_value("datasets.d.layers.em.pyramid.mips", {1: {"encoding": "png"}, 2: {"quality": 9}})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert load_config(tmp_path / "config.yaml") == parse_config_json(json.dumps(config))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("datasetz", {}, ("datasetz: unknown key", "'datasets'")),
        ("jobs.minuts", 5, ("jobs.minuts: unknown key", "'minutes'")),
        ("datasets.d.layerz", {}, ("datasets.d.layerz: unknown key", "'layers'")),
        ("datasets.d.layers.em.mesh", {}, ("datasets.d.layers.em.mesh: unknown key",)),
        ("datasets.d.layers.em.pyramid.chunk", [1, 2, 3], ("em.pyramid.chunk: unknown key", "'chunk_vx'")),
        ("datasets.d.layers.em.pyramid.mips", {1: {"encode": "png"}}, ("mips.1.encode: unknown key", "'encoding'")),
        ("datasets.d.layers.cells.skeleton.scales", 4, ("cells.skeleton.scales: unknown key", "'scale'")),
        ("datasets.d.layers.cells.mesh.zzz", 4, ("cells.mesh.zzz: unknown key", "known keys here", "draco_level")),
        ("datasets.d.layers.em.type", "picture", ("datasets.d.layers.em", "picture", "image")),
        ("datasets.d.layers.em.source", None, ("datasets.d.layers.em.source",)),
        ("datasets.d.layers.em.pyramid.quality", 101, ("em.pyramid.quality", "100", "101")),
        ("datasets.d.layers.em.pyramid.encoding", "gif", ("em.pyramid.encoding", "jpeg", "gif")),
        ("datasets.d.layers.em.pad_vx", [1, -2, 0], ("em.pad_vx", "-2")),
        ("datasets.d.layers.cells.mesh.quantization_bits", 12, ("quantization_bits", "10 or 16", "12")),
        ("datasets.d.layers.cells.mesh.mip", -1, ("cells.mesh.mip", "-1")),
        ("datasets.d.layers.cells.skeleton.soma_accept_nm", 5, ("soma_accept_nm", "soma_detect_nm")),
        ("datasets.d.layers.cells.mesh.labels", ["seven"], ("cells.mesh.labels", "seven")),
        ("datasets.d.layers.cells.mesh.labels", [-1], ("cells.mesh.labels", "-1")),
        ("datasets.d.layers.cells.mesh.exclude_labels", [2**64], ("cells.mesh.exclude_labels", str(2**64))),
        ("datasets.d.layers.synapses.segmentation", "em", ("'em' is no segmentation layer", "cells")),
        ("store", "s3://key:hush@bucket/x", ("store", "credentials", "environment")),
        ("datasets.d.layers.em.source", "https://me:hush@host/v.zarr", ("em.source", "environment", "***@host")),
        ("datasets.d.layers.synapses.source", "s3://AKIA:hush@b/t.csv", ("synapses.source", "environment")),
        ("datasets.d.layers.cells.relabel", "https://h/t.csv?sig=hush", ("cells.relabel", "sig=***")),
        (
            "datasets.d.downloads",
            {"v.h5": {"url": "https://h/v.h5?a=1&X-Amz-Signature=hush&b=2", "sha256": "0" * 64}},
            ("downloads.v.h5.url", "mirror", "a=1&X-Amz-Signature=***&b=2"),
        ),
        ("datasets.d.layers.cells.mesh.max_error_nm", float("inf"), ("mesh.max_error_nm", "finite")),
        ("store", "s3://bucket/../x", ("store", "prefix")),
        ("store", "ftp://bucket/x", ("store", "s3://")),
        ("results", "elsewhere", ("results", "set store: elsewhere")),
        ("jobs.memory_mb", 10, ("jobs.memory_mb", "500")),
        ("project", "My Project", ("project", "My Project")),
        ("datasets", {"Bad-Name": CONFIG["datasets"]["d"]}, ("Bad-Name",)),
    ],
)
def test_a_fault_is_said_with_its_place(path: str, value: Any, said: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(with_value(path, value), "config.yaml")
    message = str(caught.value)
    assert message.startswith("config.yaml: ")
    assert all(text in message for text in said), message
    assert "hush" not in message


SECRET_PLACES = (
    "https://me:hush@host/v.zarr",
    "precomputed://https://me:hush@host/v",
    "HTTPS://me@host/v",
    "gs://hush@bucket/v",
    "https://h/v?X-Amz-Credential=hush",
    "https://h/v?a=1&x-goog-signature=hush",
    "https://h/v?se=2030&sig=hush",
    "https://h/v#access_token=hush",
    "https://h/v?api_key=hush",
    "https://gitlab.org/a/raw/v.h5?private_token=hush",
    "https://h/v?a=1&client_secret=hush",
)
OPEN_PLACES = (
    "v.h5:/raw",
    "/data/me@home/v.h5",
    "precomputed://me@home/v",
    "https://host:8080/v.zarr:/raw",
    "https://h/v@2/x",
    "https://h/v.h5?download=1&signatures=2&page_token=3",
    "s3://bucket/prefix",
)


@pytest.mark.parametrize("place", [*SECRET_PLACES, *OPEN_PLACES])
def test_model_and_schema_agree_on_credentials(place: str, repository: Path) -> None:
    """Snakemake checks the schema alone before it takes the config into its records."""
    config = with_value("datasets.d.layers.em.source", place)
    schema = str(repository / "workflow" / "schemas" / "config.schema.json")
    if place in SECRET_PLACES:
        with pytest.raises(WorkflowError):
            validate(config, schema, set_default=False)
        with pytest.raises(ConfigError, match="carries no user, password, token or signature") as caught:
            parse_config(config, "config.yaml")
        assert "hush" not in str(caught.value)
    else:
        validate(config, schema, set_default=False)
        parse_config(config, "config.yaml")


def test_messages_show_no_credentials() -> None:
    """Such as the address to which a public one led."""
    said = explain(
        "f", "fails (403 for https://h/v?X-Amz-Credential=hush&X-Amz-Signature=hush)", do="Try s3://hush@b/x"
    )
    assert said == "f: fails (403 for https://h/v?X-Amz-Credential=***&X-Amz-Signature=***). Try s3://***@b/x."


def test_every_fault_is_listed_at_once() -> None:
    config = with_value("datasets.d.layers.em.pyramid.quality", 0)
    config["projekt"] = config.pop("project")
    with pytest.raises(ConfigError) as caught:
        parse_config(config, "config.yaml")
    lines = str(caught.value).splitlines()
    assert lines[0] == "config.yaml: 3 fault(s)."
    assert "  project: is required and missing." in lines
    assert len(lines) == 4


def test_labels_keep_every_digit() -> None:
    labels = [2**63 + 1, str(2**64 - 1), 7]
    config = parse_config(with_value("datasets.d.layers.cells.mesh.labels", labels), "test")
    cells = config.datasets["d"].layers["cells"]
    assert isinstance(cells, SegmentationLayer)
    assert cells.mesh is not None
    assert [int(label) for label in cells.mesh.labels] == [2**63 + 1, 2**64 - 1, 7]
