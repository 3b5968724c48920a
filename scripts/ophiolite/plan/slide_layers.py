"""The layers of one slide: its image, and where it has a mask the mask and its connected objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ophiolite.config.model import Config, ImageLayer, SegmentationLayer
from ophiolite.config.products import Pyramid
from ophiolite.config.slides import Slides
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.model import VolumePlan
from ophiolite.plan.slide_costs import export_costs, object_costs, patch_cost
from ophiolite.plan.slide_model import SlideRowPlan
from ophiolite.plan.slide_patch_scale import check_patches
from ophiolite.plan.volume import Opened, plan_volume
from ophiolite.sources.padded import PaddedSource
from ophiolite.sources.slide_layers import open_slide_layer
from ophiolite.sources.slide_sheet import SheetRow
from ophiolite.sources.source import Source

if TYPE_CHECKING:
    from ophiolite.sources.mask import MaskSource
    from ophiolite.sources.slide import SlideSource

# A glomerulus or a gland covers about so many pixels of a mask, for estimates.
PX_PER_OBJECT = 20_000
# A job of a slide's image takes less, whatever the size of the slide.
MEMORY_MB = 700


def row_plan(
    row: SheetRow,
    *,
    mpp: tuple[float, float] | None = None,
    mpp_origin: str = "",
    size_px: tuple[int, int] | None = None,
    mask_ratio: int | None = None,
    dataset: str | None = None,
    fingerprint: str = "",
    error: str | None = None,
) -> SlideRowPlan:
    """A row of the sheet with what the headers of its files say, or with the `error` for which it is refused."""
    return SlideRowPlan(
        line=row.line,
        slide_id=row.slide_id,
        case_id=row.case_id,
        group=row.group,
        kind=row.kind,
        split=row.split,
        image=row.image.as_posix(),
        mask=row.mask.as_posix() if row.mask else None,
        mpp=mpp,
        mpp_origin=mpp_origin,
        size_px=size_px,
        mask_ratio=mask_ratio,
        dataset=dataset,
        fingerprint=fingerprint,
        predicted_as=_predicted_as(row),
        error=error,
    )


def _predicted_as(row: SheetRow) -> tuple[str, ...]:
    """What a prediction of a row may be called: the row's id, or the name of its image or mask."""
    image, mask = row.image, row.mask or row.image
    stems = (row.slide_id, image.name.split(".")[0], image.stem, mask.stem, image.stem.replace("_img", "_mask"))
    return tuple(dict.fromkeys(stems))


def plan_slide(
    config: Config, options: Slides, row: SheetRow, dataset: str, speeds: Speeds
) -> tuple[SlideRowPlan, dict[str, VolumePlan]]:
    """The plan of a slide and of its layers; raises where its image or mask cannot be used."""
    # A slide is little work and there are many: a job takes as much of one as it may.
    config = config.model_copy(update={"jobs": config.jobs.model_copy(update={"min_blocks": 1})})
    reading = slide_reading(options, row)
    slide = cast("SlideSource", open_slide_layer(row.image, "slide", reading))
    slide.verify()
    place = f"slides.{row.slide_id}"
    layer = ImageLayer(type="image", source=row.image.as_posix(), pyramid=slide_pyramid(options, slide))
    opened = Opened(_whole(slide), row.image.as_posix(), "slide", reading=reading)
    small = config.jobs.model_copy(update={"memory_mb": min(config.jobs.memory_mb, MEMORY_MB)})
    image = plan_volume(config.model_copy(update={"jobs": small}), layer, opened, f"{place}.slide", speeds)
    check_patches(options.patches, image, f"slide {row.slide_id}")
    patches = patch_cost(options, image, masked=row.mask is not None, speeds=speeds)
    costs = (*image.costs, *patches, *export_costs(options, image, speeds))
    layers = {"slide": image.model_copy(update={"warnings": (*slide.warnings, *image.warnings), "costs": costs})}
    ratio, fingerprint = None, slide.fingerprint()
    if row.mask is not None:
        masks, ratio, of_mask = _plan_masks(config, options, row, slide, place, speeds)
        layers |= masks
        fingerprint = f"{fingerprint}-{of_mask}"
    planned = row_plan(
        row,
        mpp=slide.mpp,
        mpp_origin=slide.mpp_origin,
        size_px=slide.shape_vx[:2],
        mask_ratio=ratio,
        dataset=dataset,
        fingerprint=fingerprint,
    )
    return planned, layers


def _plan_masks(
    config: Config, options: Slides, row: SheetRow, slide: SlideSource, place: str, speeds: Speeds
) -> tuple[dict[str, VolumePlan], int, str]:
    """The layers `mask` and `objects`, slide pixels per mask pixel, and the mask's fingerprint."""
    assert row.mask is not None
    assert slide.resolution_nm is not None
    reading = mask_reading(options, slide)
    mask = cast("MaskSource", open_slide_layer(row.mask, "mask", reading))
    found = open_slide_layer(row.mask, "mask_objects", reading)
    text = row.mask.as_posix()
    layer = SegmentationLayer(type="segmentation", source=text, pyramid=mask_pyramid(options))
    structures = len(options.mask.structures)
    objects = structures + mask.shape_vx[0] * mask.shape_vx[1] // PX_PER_OBJECT
    more = {**reading, "min_object_px": options.mask.min_object_px}
    sources = {
        "mask": Opened(_whole(mask), text, "mask", reading=reading, expected_labels=structures),
        "objects": Opened(_whole(found), text, "mask_objects", reading=more, expected_labels=objects),
    }
    layers = {name: plan_volume(config, layer, opened, f"{place}.{name}", speeds) for name, opened in sources.items()}
    whole_bytes = mask.cache_bytes if mask.alignment_vx[:2] == (1, 1) else 0
    costs = object_costs(options, layers["objects"], mask.ratio, whole_bytes, speeds)
    layers["objects"] = layers["objects"].model_copy(update={"costs": (*layers["objects"].costs, *costs)})
    return layers, mask.ratio, mask.fingerprint()


def _whole(source: Source) -> PaddedSource:
    return PaddedSource(source, (0, 0, 0))


def slide_reading(options: Slides, row: SheetRow) -> dict[str, Any]:
    """How a slide is read: the fields of `SlideReading`, as JSON keeps them."""
    return {
        "mpp": row.mpp or options.mpp,
        "force_mpp": options.force_mpp,
        "section_nm": options.section_nm,
        "background": list(options.background),
        "icc": options.icc,
        "crop_to_bounds": options.crop_to_bounds,
        "bad_tiles": options.bad_tiles,
        "copy_tiles": options.pyramid.copy_tiles,
    }


def mask_reading(options: Slides, slide: SlideSource) -> dict[str, Any]:
    """How the mask of a slide is read: the fields of `MaskReading`, as JSON keeps them."""
    return {
        "slide_size_px": list(slide.shape_vx[:2]),
        "slide_start_px": list(slide.voxel_offset_vx[:2]),
        "slide_resolution_nm": list(slide.resolution_nm or ()),
        "ratio": options.mask.ratio,
        "binarise": options.mask.binarise,
        "structures": {str(value): name for value, name in sorted(options.mask.structures.items())},
    }


def slide_pyramid(options: Slides, slide: SlideSource) -> Pyramid:
    """JPEG, 2x means; the chunks are the source's tiles where those are copied."""
    side = options.pyramid.chunk_vx
    if options.pyramid.copy_tiles:
        from ophiolite.sources.slide import copied_tile_px

        side = copied_tile_px(slide) or side
    return Pyramid(
        encoding="jpeg",
        quality=options.pyramid.quality,
        chunk_vx=(side, side, 1),
        shard_mb=options.pyramid.shard_mb,
    )


def mask_pyramid(options: Slides) -> Pyramid:
    """Compressed labels, the mode of 2 x 2."""
    side = options.pyramid.chunk_vx
    return Pyramid(chunk_vx=(side, side, 1), shard_mb=options.pyramid.shard_mb)
