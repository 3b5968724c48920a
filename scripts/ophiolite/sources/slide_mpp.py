"""Microns per pixel of a slide: where they come from, in which order, and which are believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ophiolite.errors import SourceError, explain

LEAST, MOST = 0.05, 20.0
LARGEST_RATIO = 1.05
# What scanners sample at, by the magnification of their objective; nominal, so only where nothing was measured.
BY_OBJECTIVE = {5: 2.0, 10: 1.0, 20: 0.5, 40: 0.25, 60: 0.17, 63: 0.16, 100: 0.1}
CONFIG = "config"
# Programs for print write 72 or 300 dots per inch into these tags, whatever the picture shows.
TIFF_TAGS = "TIFF resolution tags"
Mpp = tuple[float, float]


@dataclass(frozen=True)
class FoundMpp:
    """Microns per pixel along x and y, where they come from, and what the user should know of it."""

    mpp: Mpp
    origin: str
    warnings: tuple[str, ...] = ()


def find_mpp(
    path: str, given: float | None, found: Mapping[str, Mpp], objective: float | None, *, force: bool
) -> FoundMpp:
    """The microns per pixel of a slide.

    given : from the config or the sheet; wins. found : origin -> value, most trusted first. objective : magnification,
    asked last, with a warning. SourceError E140 where nothing says, E141 where the value is implausible: outside
    0.05-20, or x and y differ by more than 5 %; `force` accepts it. Implausible resolution tags, which then mean
    print, give way to a measured value behind them, with a warning.
    """
    if given is not None:
        return _judged(path, FoundMpp((given, given), CONFIG), force=force)
    skipped: list[str] = []
    refused: FoundMpp | None = None
    for origin, mpp in found.items():
        candidate = FoundMpp(mpp, origin, tuple(skipped))
        if force or origin != TIFF_TAGS or implausible(mpp) is None:
            return _judged(path, candidate, force=force)
        refused = refused or candidate
        skipped.append(f"{origin} say {mpp[0]:g} x {mpp[1]:g} microns per pixel, which is implausible; left aside")
    if refused is not None:
        return _judged(path, refused, force=force)
    if objective is not None and round(objective) in BY_OBJECTIVE:
        value = BY_OBJECTIVE[round(objective)]
        warning = f"no microns per pixel; {value:g} assumed from the {objective:g}x objective, which is nominal"
        return FoundMpp((value, value), f"{objective:g}x objective", (warning,))
    raise SourceError(
        explain(
            f"E140 {path}",
            "no microns per pixel: neither the file nor the config says",
            do="Give it: in the sheet's column mpp for this slide, or as slides.mpp for all, e.g. 0.25 for a 40x scan",
        )
    )


def implausible(mpp: Mpp) -> str | None:
    """What is wrong with microns per pixel, or None."""
    x, y = mpp
    if not (LEAST <= x <= MOST and LEAST <= y <= MOST):
        return f"{LEAST:g} to {MOST:g}"
    if max(x / y, y / x) > LARGEST_RATIO:
        return "x and y within 5 % of each other"
    return None


def resolution_nm(mpp: Mpp, section_nm: float) -> tuple[float, float, float]:
    """Voxel size of a slide in nanometres, rounded to a femtometre so that 0.2523 microns are 252.3 nm."""
    return (round(mpp[0] * 1000, 6), round(mpp[1] * 1000, 6), section_nm)


def _judged(path: str, found: FoundMpp, *, force: bool) -> FoundMpp:
    expected = implausible(found.mpp)
    x, y = found.mpp
    if expected is None:
        return found
    if force and x > 0 and y > 0:
        warning = f"{x:g} x {y:g} microns per pixel ({found.origin}) are implausible; kept, as force_mpp asks"
        return FoundMpp(found.mpp, found.origin, (*found.warnings, warning))
    raise SourceError(
        explain(
            f"E141 {path}",
            f"implausible microns per pixel, from {found.origin}",
            expected=expected,
            got=f"{x:g} x {y:g}",
            do="Give the right value in the sheet's column mpp or as slides.mpp, or set slides.force_mpp",
        )
    )
