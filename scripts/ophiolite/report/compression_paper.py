"""What Silversmith et al. 2022 (the Igneous paper, section 3.1, figures 6 and 7) measured of encodings, by hand.

CREMI, one process of an Apple M1: 8-bit images, 64-bit labels in 1250 x 1250 x 125 voxels, read and written with
CloudVolume; gzip and png at level 9, brotli at 5, jpeg at quality 85.
"""

from __future__ import annotations

from dataclasses import dataclass

NAME = "Silversmith et al. 2022"


@dataclass(frozen=True)
class PaperValue:
    """One encoding with its second stage: compression factor, and speeds in MVx/s; None where the text gives none."""

    kind: str
    codec: str
    second_stage: str
    ratio: float | None
    encode_mvx_s: float | None
    decode_mvx_s: float | None


# Of the decoding of labels the paper gives a span over the second stages; here stands its middle.
PAPER = (
    PaperValue("image", "raw", "none", 1.0, None, 753),
    PaperValue("image", "raw", "gzip, zlib 9", 1.40, 25.8, 363),
    PaperValue("image", "raw", "brotli 5", 1.48, 25.7, 361.8),
    PaperValue("image", "jpeg 85", "none", 5.98, 288.6, 574.5),
    PaperValue("image", "png 9", "none", 1.89, 13.7, 74.5),
    PaperValue("segmentation", "raw", "none", 1.0, 98.5, 122.5),
    PaperValue("segmentation", "compressed_segmentation", "brotli 5", 333, 69.4, 113),
    PaperValue("segmentation", "compresso", "brotli 5", 570, 64.7, 96.5),
)


def paper_values(kind: str) -> dict[tuple[str, str], PaperValue]:
    """What the paper measured of a kind of layer, by codec and second stage."""
    return {(value.codec, value.second_stage): value for value in PAPER if value.kind == kind}
