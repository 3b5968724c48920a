"""One digest per rule: its own slice of the plan, the code of its stage, the settings of its upstream products."""

from __future__ import annotations

from typing import Any

from ophiolite.config.checks import Compression, Quality
from ophiolite.config.model import Config
from ophiolite.plan.digest import code_digest, settings_digest
from ophiolite.plan.model import AnnotationPlan, DatasetPlan, FragmentPlan, VolumePlan

# Rules that serve the whole project and are remade whenever a layer or the config changes.
PROJECT_RULES = (
    "timings_tables", "report_page", "mesh_quality_table", "skeleton_quality_table", "pyramid_quality_table",
    "quality_page", "compression_table", "compression_page",
)  # fmt: skip
# Options of a product that its fragments do not depend on.
MADE_LATER = ("shards", "attributes", "exports", "objects")


def volume_digests(plan: VolumePlan, quality: Quality, compression: Compression, memory_mb: int) -> dict[str, str]:
    """The digest of every rule that runs for an image or segmentation layer.

    memory_mb : of a job; what is too large for it is not measured, or traced at a coarser mip, so that raising it must
        do that again.
    """
    voxels = plan.model_dump(include={"kind", "source", "data_type", "method", "sparse", "sharded", "scales", "rounds"})
    out: dict[str, str] = {}

    def add(rule: str, *values: Any) -> str:
        out[rule] = settings_digest(code_digest(f"commands.{rule}"), *values)
        return out[rule]

    products = sorted(name for name, _ in plan.products())
    add("layer_info", voxels, products, plan.properties)
    found = code_digest("commands.mask_objects") if plan.source.format == "mask_objects" else ""
    blocks = add("pyramid_blocks", voxels, found) if found else add("pyramid_blocks", voxels)
    stats = add("label_stats", blocks, plan.stats_parts) if plan.kind == "segmentation" else ""
    done = add("layer_done", blocks, stats)
    mips = add("pyramid_quality", done)
    out["pyramid_figures"] = settings_digest(code_digest("report.pyramid_quality_figures"), mips)
    codecs = add("compression_codec", done, compression.model_dump())
    out["compression_figures"] = settings_digest(code_digest("report.compression_figures"), codecs)
    upstream = [stats]
    for name, product in plan.products():
        upstream.append(_product_digests(out, name, product, blocks, stats, memory_mb))
        add(f"{name}_quality", done, upstream, quality.model_dump(), memory_mb)
    if plan.skeleton:
        add("skeleton_graph", out["skeleton_done"], plan.skeleton.export_jobs)
        for export in plan.skeleton.options["exports"]:
            add(f"skeleton_{export}", out["skeleton_done"], plan.skeleton.export_jobs)
    if plan.kind == "segmentation":
        objects = add("object_table", upstream)
        add("segment_properties", objects, plan.properties, plan.max_inline_labels)
    out["figures"] = settings_digest(code_digest("stages.figure_data"), code_digest("report.figures"), dict(out))
    return out


def _product_digests(
    out: dict[str, str], name: str, product: FragmentPlan, blocks: str, stats: str, memory_mb: int
) -> str:
    """Digests of the rules of a product; returns that of the last."""
    data = product.model_dump(exclude={"object_jobs", "export_jobs"})
    options = data.pop("options")
    made_from = {key: value for key, value in options.items() if key not in MADE_LATER}
    above = blocks if not product.options["dust_vx"] else (blocks, stats)
    fragments, index, shards = f"{name}_fragments", f"{name}_index", f"{name}_shards"
    out[fragments] = settings_digest(code_digest(f"commands.{fragments}"), data, made_from, above)
    in_info = options["shards"].get("quantization_bits") or options["attributes"]
    out[index] = settings_digest(code_digest(f"commands.{index}"), out[fragments], in_info)
    merged = out[index]
    # Attributes are measured in the voxels of the whole object, where its box fits into a job's memory.
    measured = (options["attributes"], stats, memory_mb) if options["attributes"] else None
    if product.object_jobs:
        objects = f"{name}_objects"
        # Borders outside somata are healed there, up to this cable.
        healed = options["shards"]["max_cable_nm"]
        settings = (options["objects"], healed, product.object_jobs, memory_mb, stats)
        merged = out[objects] = settings_digest(code_digest(f"commands.{objects}"), settings, out[index])
    out[shards] = settings_digest(code_digest(f"commands.{shards}"), options["shards"], merged, measured)
    out[f"{name}_done"] = settings_digest(code_digest(f"commands.{name}_done"), out[shards])
    return out[f"{name}_done"]


def annotation_digests(plan: AnnotationPlan, file: Any, upstream: Any) -> dict[str, str]:
    """The digest of the one rule of an annotation layer; `file` and `upstream` stand for what it reads."""
    settings = plan.model_dump(exclude={"costs", "digests", "warnings"})
    return {"annotation_layer": settings_digest(code_digest("commands.annotation_layer"), settings, file, upstream)}


def project_digests(config: Config, datasets: dict[str, DatasetPlan]) -> dict[str, str]:
    """Digests of the rules that serve the whole project."""
    layers = {
        f"{dataset}/{name}": getattr(layer, "digests", None)
        for dataset, plan in datasets.items()
        for name, layer in plan.layers.items()
    }
    return {
        rule: settings_digest(code_digest(f"commands.{rule}"), layers, config.model_dump(mode="json"))
        for rule in PROJECT_RULES
    }
