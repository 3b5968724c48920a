"""Small slides, fields and patches in plain pictures (PNG, JPEG), decoded whole."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.sources.slide_reader import ORIENTATION, Size, SlideFacts, turned_warning

LARGEST_BYTES = 150 * 10**6
KNOWN = ("PNG", "JPEG")


class PictureReader:
    """A picture of one level; SourceError where it is damaged, not 8-bit, or too large to be decoded whole."""

    def __init__(self, path: str, file: Path) -> None:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(file, formats=KNOWN) as picture:
                size, mode, icc = picture.size, picture.mode, picture.info.get("icc_profile")
                deep, turned = cut_to_8_bits(picture), _turned(picture)
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise SourceError(
                explain(
                    path,
                    f"is no slide that can be read ({error})",
                    expected="a format of OpenSlide, TIFF, PNG or JPEG",
                    do="Copy the file again, or convert it to a tiled TIFF",
                )
            ) from error
        if mode not in ("RGB", "RGBA", "L", "P"):
            raise SourceError(
                explain(
                    path, f"pictures of mode {mode} are not read", expected="8-bit RGB or grey", do="Save it as RGB"
                )
            )
        if deep:
            raise SourceError(
                explain(path, "the picture has 16 bits per colour", expected="8 bits", do="Convert it to 8-bit RGB")
            )
        if size[0] * size[1] * 3 > LARGEST_BYTES:
            raise SourceError(
                explain(
                    path,
                    "the picture can only be decoded whole, which takes too much memory",
                    expected=f"at most {LARGEST_BYTES // 3 // 10**6} million pixels",
                    got=f"{size[0]} x {size[1]}",
                    do="Convert it to a tiled TIFF",
                )
            )
        self._path, self._file = path, file
        self._pixels: NDArray[np.uint8] | None = None
        self.facts = SlideFacts(
            reader="Pillow",
            vendor="picture",
            levels=(size,),
            tile_px=(256, 256),
            mpp={},
            objective=None,
            icc=icc,
            associated=(),
            files=(str(file),),
            cache_bytes=size[0] * size[1] * 7,
            warnings=(turned_warning(turned),) if turned else (),
        )

    def associated_image(self, name: str) -> NDArray[np.uint8]:
        """A picture has no other images: KeyError."""
        raise KeyError(name)

    def first_lost(self) -> tuple[int, int, int, int] | None:
        """A picture has no tiles."""
        return None

    def read(self, level: int, x: int, y: int, size: Size) -> NDArray[np.uint8]:
        """See `SlideReader.read`."""
        if self._pixels is None:
            self._pixels = self._decode()
        return self._pixels[y : y + size[1], x : x + size[0]]

    def _decode(self) -> NDArray[np.uint8]:
        from PIL import Image

        try:
            with Image.open(self._file, formats=KNOWN) as picture:
                wanted = "RGBA" if picture.has_transparency_data else "RGB"
                return np.asarray(picture.convert(wanted) if picture.mode != wanted else picture)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise SourceError(
                explain(self._path, f"the picture cannot be decoded ({error})", do="Copy the file again; it is damaged")
            ) from error


def cut_to_8_bits(picture: Any) -> bool:
    """Whether Pillow would keep the high bytes alone of a picture that it has opened and not loaded: 16-bit colours."""
    return picture.mode in ("RGB", "RGBA", "LA") and any(";16" in str(tile[3]) for tile in picture.tile)


def _turned(picture: Any) -> int:
    """The orientation that EXIF asks viewers to show a picture in; 0 where it asks for none."""
    if "exif" not in picture.info:
        return 0
    try:
        value = picture.getexif().get(ORIENTATION, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return 0
    return value if value in range(2, 9) else 0
