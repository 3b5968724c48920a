"""Compile every numba kernel for the types a run uses, before any job needs it."""

from __future__ import annotations

from ophiolite.kernels import downsample, label_stats


def warm_up(image_types: tuple[str, ...], label_types: tuple[str, ...]) -> list[str]:
    """Compile kernels into numba's cache; returns the names of what was compiled."""
    downsample.warm_up(image_types, label_types)
    label_stats.warm_up(label_types)
    return ["downsample", "label_stats"]
