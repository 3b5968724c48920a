"""What other people's readers get wrong, in one table; a test fails when an entry stops being true."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class KnownDefect:
    """A reader fails under a condition; `symptom` is a regular expression for the text of its error."""

    reader: str
    condition: str
    symptom: str


_WRONG_VOXELS = "Arrays are not equal|Not equal to tolerance|Mismatched elements"
_NO_SUCH_ENCODING = 'Expected one of "raw", "png", "jpeg", "compressed_segmentation", but received: "{}"'

KNOWN_DEFECTS = (
    # The driver has no decoder for these.
    *(
        KnownDefect("tensorstore", f"encoding {name}", _NO_SUCH_ENCODING.format(name))
        for name in ("jxl", "compresso", "crackle")
    ),
    # Channels that the codec interleaves are taken for planes (cloud-volume 12.15 reshapes in Fortran order).
    KnownDefect("cloudvolume", "encoding jpeg, uint8, 3 channels", _WRONG_VOXELS),
    KnownDefect("cloudvolume", "encoding jxl, uint8, 3 channels", _WRONG_VOXELS),
    KnownDefect("cloudvolume", "encoding jxl, uint8, 4 channels", _WRONG_VOXELS),
    *(KnownDefect("cloudvolume", f"encoding png, uint8, {n} channels", _WRONG_VOXELS) for n in (2, 3, 4)),
    # 16-bit png is decoded to 8 bits, with the wrong number of channels.
    *(
        KnownDefect("cloudvolume", f"encoding png, uint16, {n} channels", f"cannot reshape array|{_WRONG_VOXELS}")
        for n in (1, 2, 3, 4)
    ),
    # cloud-volume 12.15.2: numpy.hstack with two arguments; a variable without a value; by_id/by_id/0.shard; one level.
    *(
        KnownDefect("cloudvolume", f"annotations {name}", r"hstack\(\) takes 1 positional argument but 2 were given")
        for name in ("LINE", "AXIS_ALIGNED_BOUNDING_BOX", "ELLIPSOID")
    ),
    KnownDefect("cloudvolume", "annotations POLYLINE", "name 'encoded' is not defined"),
    KnownDefect("cloudvolume", "annotations, ids() of a sharded layer", r"by_id/\w+\.shard was zero bytes"),
    KnownDefect("cloudvolume", "annotations, get_all() of several levels", r"get_all\(\) found \d+ of 400 annotations"),
    # neuroglancer 2.41.2 aligns uint32 to 3 bytes, so a second one is sought in the wrong place.
    KnownDefect("neuroglancer", "annotations with two uint32 properties", "buffer is smaller than requested size"),
)


def assert_still_defective(reader: str, condition: str, read_and_compare: Callable[[], None]) -> None:
    """Fail unless the table has the defect and `read_and_compare` still raises an error with its symptom."""
    defects = [d for d in KNOWN_DEFECTS if (d.reader, d.condition) == (reader, condition)]
    assert len(defects) == 1, f"{reader}, {condition}: expected one entry in KNOWN_DEFECTS, found {len(defects)}"
    error: Exception | None = None
    try:
        read_and_compare()
    except Exception as caught:
        error = caught
    if error is None:
        pytest.fail(
            f"{reader} manages {condition} now: take it out of KNOWN_DEFECTS, and say so where readers are listed"
        )
    assert re.search(defects[0].symptom, str(error)), f"{reader}, {condition}: fails in another way: {error}"
