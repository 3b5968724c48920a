"""The options of tracing centrelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ophiolite.errors import ConfigError, explain


@dataclass(frozen=True)
class SkeletonOptions:
    """How centrelines are traced.

    engine : `ophiolite` is this package's own; `kimimaro` the reference that it is tested against.
    scale, const_nm : a traced path clears balls of `scale` times the distance to the surface plus `const_nm`; larger
        values give fewer side branches.
    pdrf_scale, pdrf_exponent : the penalty for leaving the middle is pdrf_scale (1 - distance / largest)^pdrf_exponent.
    soma_detect_nm : a label whose greatest distance to its surface exceeds this is looked at as a soma (voids filled).
    soma_accept_nm : and if it then exceeds this, it is traced as one: root in its middle.
    soma_scale, soma_const_nm : radius about that root in which there is no other vertex, as `scale` and `const_nm`.
    max_paths : give up on a piece that needs as many paths, None for no limit.
    fix_branching : let side branches leave where they do, not at the root (slower, better).
    fix_borders : end points on the shared planes; without them pieces of neighbouring tasks do not meet.
    fix_avocados : unite a nucleus that is a label of its own with the soma around it. Decided per task, which must see
        all of the nucleus: one that is cut is united where whole objects are looked at.
    fill_holes : fill the voids of a label that are closed within the task. Labels in a void are traced as well.
    include_labels : trace only these, None for all. exclude_labels : leave these out.
    """

    engine: Literal["ophiolite", "kimimaro"] = "ophiolite"
    scale: float = 3.0
    const_nm: float = 10.0
    pdrf_scale: float = 100_000.0
    pdrf_exponent: int = 4
    soma_detect_nm: float = 1100.0
    soma_accept_nm: float = 3500.0
    soma_scale: float = 1.0
    soma_const_nm: float = 300.0
    max_paths: int | None = None
    fix_branching: bool = True
    fix_borders: bool = True
    fix_avocados: bool = False
    fill_holes: bool = False
    include_labels: tuple[int, ...] | None = None
    exclude_labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in (
            "scale",
            "const_nm",
            "pdrf_scale",
            "soma_detect_nm",
            "soma_accept_nm",
            "soma_scale",
            "soma_const_nm",
        ):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ConfigError(
                    explain(f"skeleton {name}", "not a size", expected="0 or more", got=value, do="Change the config")
                )
        if self.scale == 0 and self.const_nm == 0:
            raise ConfigError(
                explain("skeleton scale, const_nm", "both are 0", expected="one above 0", do="Set const_nm to 10 or so")
            )
        if self.max_paths is not None and self.max_paths < 1:
            raise ConfigError(
                explain(
                    "skeleton max_paths",
                    "not a count",
                    expected="1 or more, or null",
                    got=self.max_paths,
                    do="Change it",
                )
            )
