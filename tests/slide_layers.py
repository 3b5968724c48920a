"""The layers of phantom slides, made by the commands of the workflow in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ophiolite.__main__ import main
from ophiolite.plan.model import ProjectPlan, VolumePlan
from ophiolite.sample.slide_set import SlideTruth, write_slides
from ophiolite.stages.job import load_plan

SIZE_PX = (1000, 720)


@dataclass(frozen=True)
class SlideProject:
    """Some phantom slides and the results of them: folder of the project, plan, what is known of each slide."""

    slides: Path
    folder: Path
    plan: ProjectPlan
    truths: dict[str, SlideTruth]

    def volume(self, dataset: str, layer: str) -> VolumePlan:
        """The plan of a layer."""
        found = self.plan.datasets[dataset].layers[layer]
        assert isinstance(found, VolumePlan), found
        return found

    def layer(self, dataset: str, layer: str) -> Path:
        """The folder of a layer."""
        return self.folder / dataset / "layers" / layer


def make_slide_project(folder: Path, slide_ids: tuple[str, ...], **options: Any) -> SlideProject:
    """Write the phantoms, plan the named ones, and make their layers `slide`, `mask` and `objects`."""
    slides = folder / "slides"
    truths = {t.kind.slide_id: t for t in write_slides(slides, SIZE_PX, 1)}
    lines = (slides / "slides.tsv").read_text().splitlines()
    kept = [line for line in lines[1:] if line.split("\t")[0] in slide_ids]
    (slides / "some.tsv").write_text("\n".join([lines[0], *kept]) + "\n")
    mask = {"binarise": None, "structures": {1: "glomerulus", 2: "sclerosed"}}
    project = plan_slides(folder, slides / "some.tsv", truths, mask=mask, **options)
    for dataset in sorted(project.plan.datasets):
        for layer in ("slide", "mask", "objects"):
            make_layer(project, dataset, layer)
        command("slide_contours", "--plan", project.folder / "plan.json", "--dataset", dataset, "--layer", "objects")
    return project


def plan_slides(folder: Path, sheet: Path, truths: dict[str, SlideTruth], **options: Any) -> SlideProject:
    """Plan the slides of a sheet, with results below `folder`."""
    config = {"project": "p", "store": str(folder / "results"), "slides": {"sheet": str(sheet), **options}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command("make_plan", "--config", folder / "config.yaml")
    path = folder / "results/p/plan.json"
    return SlideProject(sheet.parent, path.parent, load_plan(path), truths)


def command(name: str, *args: Any) -> None:
    """Run one command of ours."""
    assert main([name, *map(str, args)]) == 0


def make_layer(project: SlideProject, dataset: str, layer: str) -> None:
    """Make one layer of a slide."""
    here = ("--plan", project.folder / "plan.json", "--dataset", dataset, "--layer", layer)
    command("layer_info", *here)
    if layer == "objects":
        command("mask_objects", *here)
    for r in project.volume(dataset, layer).rounds:
        for block in r.block_names():
            command("pyramid_blocks", *here, "--block", f"r{r.number}.{block}")
    command("layer_done", *here)
