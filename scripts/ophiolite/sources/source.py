"""What every raw source offers: its header facts and `read(box)`."""

from __future__ import annotations

import hashlib
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import OphioliteError, SourceError, explain
from ophiolite.geometry.box import Box, Vec, sub
from ophiolite.sources.cache import ArrayCache

Nm = tuple[float, float, float]

# What a reader may keep of decoded bytes between two reads: little beside the 2 GB that a job of 256^3 tasks may take.
CACHE_BYTES = 256 * 2**20
MAX_CHANNELS = 4


class Source(Protocol):
    """A raw volume on disk or on a server, read box by box and never whole."""

    @property
    def path(self) -> str:
        """What the user wrote, for messages."""

    @property
    def shape_vx(self) -> Vec:
        """Size in voxels, (x, y, z)."""

    @property
    def channels(self) -> int:
        """Number of channels, 1 for grey images and labels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the arrays that `read` returns, in the byte order of this machine."""

    @property
    def resolution_nm(self) -> Nm | None:
        """Voxel size in nanometres; None where neither the source nor the caller says."""

    @property
    def voxel_offset_vx(self) -> Vec:
        """Absolute coordinate of the first voxel, from metadata; (0, 0, 0) where they do not say."""

    @property
    def alignment_vx(self) -> Vec:
        """Reads aligned to this, counted from `voxel_offset_vx`, decode nothing twice."""

    @property
    def cache_bytes(self) -> int:
        """Most bytes the reader keeps in memory between two reads."""

    @property
    def files(self) -> tuple[str, ...]:
        """Local paths the source consists of; a folder or pattern stands for its slices; empty for servers."""

    @property
    def box(self) -> Box:
        """All voxels of the source, in absolute coordinates."""

    def read(self, box: Box) -> NDArray[Any]:
        """The voxels of `box` (absolute coordinates), (x, y, z, c) in Fortran order; ValueError outside the volume."""

    def verify(self) -> None:
        """Judge every part by its header; SourceError names the part at fault."""

    def overflow_to(self, folder: Path) -> None:
        """Keep decoded parts that fall out of memory in files of `folder`, for reads that come back to them."""

    def fingerprint(self) -> str:
        """Sixteen hex digits that change when header facts, sizes or modification times do."""


@dataclass(frozen=True)
class Given:
    """What the config says about placement; where it says anything, the metadata are not asked."""

    resolution_nm: Nm | None = None
    voxel_offset_vx: Vec | None = None


NOTHING_GIVEN = Given()


@dataclass(frozen=True)
class Header:
    """The facts a reader finds in a file's header; see `Source` for their meaning."""

    path: str
    shape_vx: Vec
    channels: int
    dtype: np.dtype[Any]
    resolution_nm: Nm | None
    voxel_offset_vx: Vec
    alignment_vx: Vec
    files: tuple[str, ...]
    cache_bytes: int = 0


@contextmanager
def decoding(path: str) -> Iterator[None]:
    """Turn whatever a decoder raises over a damaged file into SourceError; errors of the disk pass as they are.

    The libraries that decode raw files raise anything over bytes they did not expect, from KeyError to AssertionError.
    """
    try:
        yield
    except (OphioliteError, OSError):
        raise
    except MemoryError as error:
        raise SourceError(
            explain(
                path,
                "decoding it takes more memory than there is",
                do="Give the job more memory; or, where the file is small, it is damaged: restore it",
            )
        ) from error
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        raise SourceError(
            explain(
                path,
                "the file is damaged, or of a layout that its decoder does not know"
                f" ({type(error).__name__} at {place}: {error})",
                do="Restore the file, or open it with the program that wrote it and save it again",
            )
        ) from error


class HeaderSource(ABC):
    """The parts of a `Source` that follow from its `Header`; a reader adds `_decode`."""

    def __init__(self, header: Header) -> None:
        self.path = header.path
        self.shape_vx = header.shape_vx
        self.channels = header.channels
        self.dtype = header.dtype.newbyteorder("=")
        self.resolution_nm = header.resolution_nm
        self.voxel_offset_vx = header.voxel_offset_vx
        self.alignment_vx = header.alignment_vx
        self.files = header.files
        self.cache_bytes = header.cache_bytes

    @property
    def box(self) -> Box:
        """All voxels of the source, in absolute coordinates."""
        return Box.of(self.voxel_offset_vx, self.shape_vx)

    def read(self, box: Box) -> NDArray[Any]:
        """Read the voxels of `box`.

        `box` is in absolute coordinates. Returns (x, y, z, c) of `dtype`, Fortran-ordered; it may be a read-only view
        of the file. ValueError where the box leaves the volume, SourceError where the file cannot be decoded.
        """
        if not self.box.contains(box):
            raise ValueError(f"{self.path}: box {box} leaves the volume {self.box}")
        shape = (*box.shape, self.channels)
        if box.empty:
            return np.zeros(shape, self.dtype, order="F")
        with decoding(self.path):
            array = np.asfortranarray(self._decode(box.shift(sub((0, 0, 0), self.voxel_offset_vx))), dtype=self.dtype)
        if array.shape != shape:
            raise SourceError(
                explain(
                    self.path,
                    f"box {box} was decoded to an array of another size",
                    expected=shape,
                    got=array.shape,
                    do="The file is damaged, or changed since it was opened; restore it and run again",
                )
            )
        return array

    def verify(self) -> None:  # noqa: B027 (a source of one part was judged when it was opened)
        """Judge every part by its header; SourceError names the part at fault."""

    def fingerprint(self) -> str:
        """Sixteen hex digits that change when header facts, sizes or modification times do."""
        facts: list[object] = [
            self.shape_vx,
            self.channels,
            self.dtype.str,
            self.resolution_nm,
            self.voxel_offset_vx,
            *self._more_facts(),
        ]
        for name in self._parts():
            stat = Path(name).stat()
            facts.append((Path(name).name, stat.st_size, stat.st_mtime_ns))
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def overflow_to(self, folder: Path) -> None:
        """Keep decoded parts that fall out of memory in files of `folder`, for reads that come back to them."""
        for cache in self._caches():
            cache.overflow_to(folder)

    def _caches(self) -> tuple[ArrayCache, ...]:
        """The caches of what costs to decode; none where a library keeps its own."""
        return ()

    def _parts(self) -> tuple[str, ...]:
        """Every file whose size and modification time enter the fingerprint."""
        return self.files

    def _more_facts(self) -> tuple[object, ...]:
        """Header facts of this format that enter the fingerprint besides the common ones."""
        return ()

    @abstractmethod
    def _decode(self, box: Box) -> NDArray[Any]:
        """The voxels of a non-empty `box`, counted from the first voxel, as (x, y, z, c) in any memory order."""
