"""What the rules that run once for a slide take; estimates that never shape the geometry."""

from __future__ import annotations

from dataclasses import dataclass

from ophiolite.config.slides import Patches, Slides
from ophiolite.kernels.patch_grid import patch_count
from ophiolite.plan.costs import BASE_MEMORY_MB, START_SECONDS
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.model import Cost, VolumePlan

# Measured on a phantom of 16,000 x 12,000 pixels: seconds per million pixels that patches are made of, and that they
# hold; bytes per pixel of patches, as JPEG and PNG.
SECONDS_PER_MPX_READ, SECONDS_PER_MPX_WRITTEN = 0.009, 0.02
JPEG_BYTES, PNG_BYTES, MASK_BYTES = 0.4, 1.7, 0.02
# Decoded chunks that are kept, strips that are resampled, the thumbnail; and per pixel of a patch.
PATCH_MEMORY_MB, PATCH_MEMORY_BYTES = 300, 16


@dataclass(frozen=True)
class _Export:
    """Seconds and MB for a million pixels of all mips, and what a job takes beside the interpreter."""

    seconds_per_mpx: float
    mb_per_mpx: float
    memory_mb: int


@dataclass(frozen=True)
class _OfObjects:
    """What a rule of a mask's objects takes per pixel of the mask, or of the slide where it is that which is read.

    seconds_per_mpx, mb_per_mpx : of what is written. bytes_per_px : memory that grows with the slide; held_bytes per
    pixel of what is worked on together, at most held_px.
    """

    seconds_per_mpx: float
    mb_per_mpx: float
    bytes_per_px: float
    held_bytes: float
    held_px: int
    files: int


# Measured at 4,096, 12,288 and 24,576 pixels a side, an object of 100 rows for every 40,000 pixels.
OF_OBJECTS = {
    "mask_objects": _OfObjects(0.005, 0.07, 0.08, 3, 2**25, 2),
    "slide_objects": _OfObjects(0.012, 0.0003, 0.06, 0, 0, 1),
    "slide_contours": _OfObjects(0.009, 0.13, 0.2, 0.5, 500_000_000, 2),
}
# Pillow's copy of a picture that is decoded whole, beside ours.
COPIES_OF_PICTURE = 2


# Measured at 30,000 x 30,000 pixels: JPEG chunks copied; decoded chunks in Zarr, compressed without loss.
EXPORTS = {"ome_tiff": _Export(0.0025, 0.5, 100), "ome_zarr": _Export(0.06, 1.7, 300)}
SHARD_PX = 4096


def patch_cost(options: Slides, slide: VolumePlan, *, masked: bool, speeds: Speeds) -> tuple[Cost, ...]:
    """What cutting the patches of a slide takes were all of them kept; nothing where none are wanted."""
    patches = options.patches
    if patches is None:
        return ()
    count, ratio = _patches(patches, slide)
    mpx = count * patches.size_px**2 / 1e6
    read = mpx * (ratio**2 if patches.mpp is not None else 1)
    seconds = read * SECONDS_PER_MPX_READ + mpx * SECONDS_PER_MPX_WRITTEN
    size = mpx * ((JPEG_BYTES if patches.format == "jpeg" else PNG_BYTES) + MASK_BYTES * masked)
    return (
        Cost(
            rule="slide_patches",
            jobs=1,
            seconds=round(START_SECONDS + count * speeds.of("slide_patches", seconds / max(count, 1)), 1),
            memory_mb=BASE_MEMORY_MB + PATCH_MEMORY_MB + patches.size_px**2 * PATCH_MEMORY_BYTES // 10**6,
            output_mb=round(size, 1),
            files=count * (1 + masked) + 1,
        ),
    )


def object_costs(
    options: Slides, objects: VolumePlan, ratio: int, whole_bytes: int, speeds: Speeds
) -> tuple[Cost, ...]:
    """What finding, measuring and outlining the objects of a mask takes.

    ratio : slide pixels per mask pixel. whole_bytes : of a mask that is decoded whole.
    """
    px = objects.scales[0].box.volume
    # The coarsest mip of the slide that has whole pixels under one of the mask is that of the power of 2 in the ratio.
    read_px = px * (ratio // (ratio & -ratio)) ** 2
    costs = []
    for rule, facts in OF_OBJECTS.items():
        if rule == "slide_contours" and not options.mask.contours:
            continue
        seconds = speeds.of(rule, facts.seconds_per_mpx * (read_px / px if rule == "slide_objects" else 1))
        decoded = COPIES_OF_PICTURE * whole_bytes if rule == "mask_objects" else 0
        memory = px * facts.bytes_per_px + min(px, facts.held_px) * facts.held_bytes + decoded
        costs.append(
            Cost(
                rule=rule,
                jobs=1,
                seconds=round(START_SECONDS + px / 1e6 * seconds, 1),
                memory_mb=BASE_MEMORY_MB + int(memory / 1e6),
                output_mb=round(px / 1e6 * facts.mb_per_mpx, 1),
                files=facts.files,
            )
        )
    return tuple(costs)


def export_costs(options: Slides, slide: VolumePlan, speeds: Speeds) -> tuple[Cost, ...]:
    """What writing a slide in other formats takes."""
    mpx = sum(scale.box.volume for scale in slide.scales) / 1e6
    costs = []
    for export in options.exports:
        rule, facts = f"slide_{export}", EXPORTS[export]
        seconds = mpx * speeds.of(rule, facts.seconds_per_mpx)
        shards = sum(-(-s.size_vx[0] // SHARD_PX) * -(-s.size_vx[1] // SHARD_PX) + 1 for s in slide.scales)
        costs.append(
            Cost(
                rule=rule,
                jobs=1,
                seconds=round(START_SECONDS + seconds, 1),
                memory_mb=BASE_MEMORY_MB + facts.memory_mb,
                output_mb=round(mpx * facts.mb_per_mpx, 1),
                files=1 if export == "ome_tiff" else 1 + shards,
            )
        )
    return tuple(costs)


def _patches(patches: Patches, slide: VolumePlan) -> tuple[int, float]:
    """How many patches a slide has, and how many of its pixels make one of theirs along an axis."""
    base = slide.scales[0]
    level = slide.scales[min(patches.level, len(slide.scales) - 1)]
    ratio = patches.mpp * 1000 / base.resolution_nm[0] if patches.mpp is not None else float(level.factor[0])
    across, down = (
        patch_count(int(base.size_vx[axis] / ratio), patches.size_px, patches.stride_px, patches.edge)
        for axis in (0, 1)
    )
    return across * down, ratio
