"""How many slide pixels a pixel of a mask is wide and high: what the sizes permit, and what decides between several."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ophiolite.errors import SourceError, explain

Size = tuple[int, int]
# Candidates that an error names one by one.
NAMED = 8


def possible_ratios(mask_px: Size, slide_px: Size) -> set[int]:
    """Every integer r, at most the slide's longer side, for which the mask is as large as slide / r: both sides rounded
    down, up, or to the nearest alike, and no side below one pixel."""
    sides = list(zip(slide_px, mask_px, strict=True))
    most = max(slide_px)
    down = [(s // (m + 1) + 1, s // m if m > 1 else most) for s, m in sides]
    up = [(-(-s // m), -(-s // (m - 1)) - 1 if m > 1 else most) for s, m in sides]
    near = [(-(-2 * s // (2 * m + 1)), 2 * s // (2 * m - 1) if m > 1 else most) for s, m in sides]
    found: set[int] = set()
    for ends in (down, up, near):
        found.update(range(max(1, *(low for low, _ in ends)), min(high for _, high in ends) + 1))
    return found


def mask_ratio(
    path: str, mask_px: Size, slide_px: Size, stated: int | None, told: Callable[[], Sequence[tuple[float, float]]]
) -> int:
    """Slide pixels per mask pixel.

    Where several ratios fit the sizes, as of masks with fewer pixels than their ratio, it is the `stated` one; else
    the only one that is `told`, the ratios along x and y that the mask's file gives by its scale; else the only one
    that is a power of two or divides both sides. SourceError E142 where none fits, or none of these decides.
    """
    fitting = possible_ratios(mask_px, slide_px)
    if not fitting:
        raise _no_ratio(path, mask_px, slide_px)
    if len(fitting) == 1:
        return min(fitting)
    if stated is not None and stated in fitting:
        return stated
    scaled = {round(x) for x, y in told() if round(x) == round(y)} & fitting
    if len(scaled) == 1:
        return min(scaled)
    round_ones = {r for r in fitting if r & (r - 1) == 0 or (r * mask_px[0], r * mask_px[1]) == slide_px}
    if len(round_ones) == 1:
        return min(round_ones)
    raise _ambiguous(path, mask_px, slide_px, sorted(fitting))


def _no_ratio(path: str, mask_px: Size, slide_px: Size) -> SourceError:
    return SourceError(
        explain(
            f"E142 {path}",
            "the slide is no whole number of times as large as its mask",
            expected="{} x {} pixels divided by 1, 2, 3, ...".format(*slide_px),
            got="{} x {}, a ratio of {:.4g} x {:.4g}".format(
                *mask_px, slide_px[0] / mask_px[0], slide_px[1] / mask_px[1]
            ),
            do="Pair the right files, or save the mask at a whole fraction of the slide's size, without smoothing",
        )
    )


def _ambiguous(path: str, mask_px: Size, slide_px: Size, fitting: Sequence[int]) -> SourceError:
    named = [str(r) for r in fitting]
    if len(named) > NAMED:
        named = [*named[:NAMED], "...", named[-1]]
    return SourceError(
        explain(
            f"E142 {path}",
            "a mask of so few pixels does not say how many of the slide's each is wide",
            expected=f"{slide_px[0]} x {slide_px[1]} pixels divided by one of {', '.join(named)}",
            got="{} x {}".format(*mask_px),
            do="State it as slides.mask.ratio, write the mask's microns per pixel into its TIFF tags, or save it finer",
        )
    )
