"""A set of phantom slides as a pathology group would have them: a sheet, slides, masks, predictions, the truth."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ophiolite.sample.files import replacing
from ophiolite.sample.slide_errors import Prediction, predict
from ophiolite.sample.slide_files import write_generic, write_ome, write_strips, write_svs
from ophiolite.sample.slide_paint import Corner, paint_owner, structure_mask
from ophiolite.sample.slide_scene import STRUCTURES, SlideScene, make_scene

Writer = Callable[[SlideScene, Corner, float, Path], None]
MPP = 0.5


@dataclass(frozen=True)
class SlideKind:
    """One slide of the set. finer : slide pixels per pixel of its mask; told : microns per pixel stand in the sheet."""

    slide_id: str
    case_id: str
    group: str
    suffix: str
    write: Writer
    finer: int = 1
    mask_suffix: str = ".png"
    told: bool = False
    padded: bool = False


KINDS = (
    SlideKind("12-101", "12-101", "56Nx", ".tiff", write_generic),
    SlideKind("12-102", "12-102", "56Nx", ".svs", write_svs, finer=2),
    SlideKind("12-103", "12-103", "56Nx", ".tif", write_strips, mask_suffix=".tiff", told=True),
    SlideKind("11-201", "11-201", "normal", ".tiff", write_generic, padded=True),
    SlideKind("11-202", "11-202", "normal", ".svs", write_svs),
    SlideKind("11-203", "11-203", "normal", ".ome.tif", write_ome, mask_suffix=".tiff"),
)


@dataclass(frozen=True)
class SlideTruth:
    """What is known of one slide, in pixels of its mask: owner (x, y) uint16 as `paint` gives it, and the errors of its
    prediction. slide_px : size of the slide itself; mpp : microns per pixel of the slide.
    """

    kind: SlideKind
    scene: SlideScene
    slide_px: Corner
    mpp: float
    owner: NDArray[np.uint16]
    prediction: Prediction


def slide_truths(size_px: Corner, seed: int) -> list[SlideTruth]:
    """The slides of the set without their files; size_px : at 20x (0.5 microns per pixel), twice that at 40x.

    Raises ConfigError for a size or seed that cannot work.
    """
    out = []
    for place, kind in enumerate(KINDS):
        scene = make_scene((size_px[0] * MPP, size_px[1] * MPP), 100 * seed + place if seed >= 0 else seed, kind.padded)
        owner = paint_owner(scene, MPP, size_px)
        slide_px = (size_px[0] * kind.finer, size_px[1] * kind.finer)
        out.append(SlideTruth(kind, scene, slide_px, MPP / kind.finer, owner, predict(scene, MPP, size_px)))
    return out


def write_slides(folder: Path, size_px: Corner, seed: int) -> list[SlideTruth]:
    """Write the set: slides.tsv, images/, masks/, predictions/, truth.json. The same size and seed give the same bytes.

    Masks hold structure values (1, 2) one to one with a slide at 20x. Raises ConfigError as `slide_truths`, StoreError
    where a file cannot be written.
    """
    truths = slide_truths(size_px, seed)
    lines = ["slide_id\tcase_id\tgroup\timage\tmask\tmpp"]
    for truth in truths:
        kind = truth.kind
        image, mask = f"images/{kind.slide_id}{kind.suffix}", f"masks/{kind.slide_id}_mask{kind.mask_suffix}"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        kind.write(truth.scene, truth.slide_px, truth.mpp, folder / image)
        write_mask(structure_mask(truth.scene, truth.owner), folder / mask)
        write_mask(truth.prediction.mask, folder / "predictions" / f"{kind.slide_id}.png")
        told = f"{truth.mpp:g}" if kind.told else ""
        lines.append(f"{kind.slide_id}\t{kind.case_id}\t{kind.group}\t{image}\t{mask}\t{told}")
    with replacing(folder / "truth.json") as temporary:
        temporary.write_text(json.dumps({t.kind.slide_id: described(t) for t in truths}, indent=1) + "\n", "utf-8")
    with replacing(folder / "slides.tsv") as temporary:
        temporary.write_text("\n".join(lines) + "\n", "utf-8")
    return truths


def write_mask(mask: NDArray[np.uint8], path: Path) -> None:
    """Write a mask (x, y) uint8 as PNG or, by its suffix, as tiled TIFF; raises StoreError where it cannot."""
    rows = np.ascontiguousarray(mask.T)
    with replacing(path) as temporary:
        if path.suffix == ".png":
            from PIL import Image

            out = io.BytesIO()
            Image.fromarray(rows).save(out, "PNG")
            temporary.write_bytes(out.getvalue())
        else:
            import tifffile

            tifffile.imwrite(temporary, rows, tile=(256, 256), compression="zlib", metadata=None)


def described(truth: SlideTruth) -> dict[str, object]:
    """The truth of one slide as JSON values; areas and boxes in pixels of the mask."""
    from scipy import ndimage

    owner = truth.owner
    pixels = np.bincount(owner.ravel(), minlength=len(truth.scene.objects) + 1)
    boxes = ndimage.find_objects(owner, max_label=len(truth.scene.objects))
    objects = []
    for place, (item, box) in enumerate(zip(truth.scene.objects, boxes, strict=True), start=1):
        objects.append(
            {
                "structure": item.structure,
                "name": STRUCTURES[item.structure],
                "centre_um": [round(c, 3) for c in item.centre_um],
                "radius_um": round(item.radius_um, 3),
                "hole": item.hole,
                "area_px": int(pixels[place]),
                "box_px": [[s.start, s.stop] for s in box],
                "predicted": truth.prediction.kinds[place - 1],
            }
        )
    return {
        "case_id": truth.kind.case_id,
        "group": truth.kind.group,
        "slide_px": truth.slide_px,
        "mask_px": owner.shape,
        "mpp": truth.mpp,
        "objects": objects,
        "expected_scores": {STRUCTURES[s]: c for s, c in truth.prediction.counts.items()},
    }
