"""The resolution that patches are wanted at, beside that of their slide: refused in the plan where it cannot be."""

from __future__ import annotations

from ophiolite.config.slides import Patches
from ophiolite.errors import PlanError, explain
from ophiolite.plan.model import ScalePlan, VolumePlan

# A wanted resolution this near to a multiple of the slide's takes whole pixels; scanners of one kind differ so much.
WHOLE_SHARE = 0.01


def check_patches(options: Patches | None, slide: VolumePlan, place: str) -> None:
    """Raise PlanError where the patches of a slide cannot be of the resolution that is asked for."""
    if options is None:
        return
    if options.mpp is None:
        patch_scale(slide, options.level, place)
    else:
        patch_ratios(slide, options.mpp, place)


def patch_scale(slide: VolumePlan, level: int, place: str) -> ScalePlan:
    """The mip that patches are cut from; PlanError where the slide has none of that number."""
    if level >= len(slide.scales):
        raise PlanError(
            explain(
                f"{place}, slides.patches.level",
                "the slide has no such level",
                expected=f"0 to {len(slide.scales) - 1}",
                got=level,
                do="Choose one of them, or give slides.patches.mpp",
            )
        )
    return slide.scales[level]


def patch_ratios(slide: VolumePlan, wanted_um: float, place: str) -> tuple[float, float]:
    """Pixels of a slide along x and y that make one of its patches; PlanError where it is less than a pixel."""
    x_nm, y_nm, _ = slide.scales[0].resolution_nm
    return _ratio(wanted_um, x_nm / 1000, place), _ratio(wanted_um, y_nm / 1000, place)


def _ratio(wanted_um: float, mpp: float, place: str) -> float:
    ratio = wanted_um / mpp
    whole = round(ratio)
    if whole and abs(ratio / whole - 1) <= WHOLE_SHARE:
        return float(whole)
    if ratio < 1:
        raise PlanError(
            explain(
                f"{place}, slides.patches.mpp",
                "patches finer than their slide would be blown up",
                expected=f"at least {mpp:g} microns per pixel",
                got=f"{wanted_um:g}",
                do="Raise it, or leave the slide out",
            )
        )
    return ratio
