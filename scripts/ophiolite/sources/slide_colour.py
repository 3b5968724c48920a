"""Colours of a slide converted by its ICC profile to sRGB."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain

Convert = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def to_srgb(path: str, profile: bytes) -> Convert:
    """The conversion of pixels (h, w, 3), or (h, w, 4) whose alpha stays, from a profile to sRGB by its own intent.

    SourceError where the profile is damaged or no RGB profile.
    """
    from PIL import Image, ImageCms

    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        intent = ImageCms.Intent(ImageCms.getDefaultIntent(own))
        transform = ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), "RGB", "RGB", intent)
    except (OSError, ValueError, ImageCms.PyCMSError) as error:
        raise SourceError(
            explain(path, f"its colour profile cannot be used ({error})", do="Set slides.icc: keep")
        ) from error

    def convert(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        picture = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
        colours = np.asarray(ImageCms.applyTransform(picture, transform))
        return colours if pixels.shape[2] == 3 else np.concatenate([colours, pixels[..., 3:]], axis=2)

    return convert
