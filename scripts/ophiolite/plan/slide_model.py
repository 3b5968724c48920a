"""The slides of a project in its plan: every row of the sheet, how rows are dealt to jobs, and the rules' digests."""

from __future__ import annotations

from typing import Any, Literal

from ophiolite.errors import PlanError, explain
from ophiolite.plan.part import Part

# Of a prediction's file, in the order in which they are looked for.
PREDICTED_ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".geojson")


class SlideRowPlan(Part):
    """One row of the sheet, and what the headers of its files say.

    image, mask : paths as they are opened. mpp : microns per pixel along x and y; None for patches of unknown scale.
    mask_ratio : slide pixels per mask pixel. dataset : name of the slide's dataset; None for patches and refused rows.
    fingerprint : changes when image or mask do. predicted_as : what a prediction of the row may be called, without its
    ending; the first that is there counts. error : why the row is refused, else None.
    """

    line: int
    slide_id: str
    case_id: str
    group: str
    kind: Literal["slide", "patch"]
    split: str | None
    image: str
    mask: str | None
    mpp: tuple[float, float] | None
    mpp_origin: str
    size_px: tuple[int, int] | None
    mask_ratio: int | None
    dataset: str | None
    fingerprint: str
    predicted_as: tuple[str, ...] = ()
    error: str | None


class SlideBatch(Part):
    """The rows [first, stop) that one job of a batched rule takes, and the digests of those rules.

    name : of the job and its files. That of a slide's dataset, so that a row more above it makes nothing again.
    """

    name: str
    first: int
    stop: int
    digests: dict[str, str]


class SlidesPlan(Part):
    """All rows, refused ones too.

    options : the section `slides` of the config. rules : per kind of layer, the rules that may run once for a slide;
    one runs where the digests of the layer name it. batches : contiguous rows, a slide alone. shown : the datasets
    in the project's report, which has no room for thousands. digests : of the rules that serve all slides.
    predicted_endings : of the files of predictions, in the order in which they are looked for.
    """

    options: dict[str, Any]
    rows: tuple[SlideRowPlan, ...]
    batches: tuple[SlideBatch, ...]
    rules: dict[str, tuple[str, ...]]
    shown: tuple[str, ...]
    digests: dict[str, str]
    predicted_endings: tuple[str, ...] = PREDICTED_ENDINGS

    def planned(self) -> list[SlideRowPlan]:
        """The rows that were not refused, in the order of the sheet."""
        return [row for row in self.rows if row.error is None]

    def rows_of(self, batch: str) -> list[SlideRowPlan]:
        """The rows of a batch that were not refused; PlanError where there is no batch of that name."""
        dealt = next((dealt for dealt in self.batches if dealt.name == batch), None)
        if dealt is None:
            raise PlanError(
                explain("--batch", "is no batch of slides", got=batch, do="See `slides.batches` in the plan")
            )
        return [row for row in self.rows[dealt.first : dealt.stop] if row.error is None]

    def row_of(self, dataset: str) -> SlideRowPlan:
        """The row of a slide's dataset."""
        return next(row for row in self.rows if row.dataset == dataset)
