"""Half-open integer boxes in voxels."""

from __future__ import annotations

from dataclasses import dataclass

Vec = tuple[int, int, int]


@dataclass(frozen=True, order=True)
class Box:
    """The voxels `start <= (x, y, z) < stop`; may be empty, may lie at negative coordinates."""

    start: Vec
    stop: Vec

    @classmethod
    def of(cls, start: Vec, shape: Vec) -> Box:
        """The box of `shape` voxels that begins at `start`."""
        return cls(start, (start[0] + shape[0], start[1] + shape[1], start[2] + shape[2]))

    @property
    def shape(self) -> Vec:
        """Edge lengths in voxels, never negative."""
        a, b = self.start, self.stop
        return (max(b[0] - a[0], 0), max(b[1] - a[1], 0), max(b[2] - a[2], 0))

    @property
    def volume(self) -> int:
        """Number of voxels."""
        x, y, z = self.shape
        return x * y * z

    @property
    def empty(self) -> bool:
        """True where no voxel lies inside."""
        return self.volume == 0

    def intersect(self, other: Box) -> Box:
        """The voxels in both boxes; an empty box at `start` where there are none."""
        start = (
            max(self.start[0], other.start[0]),
            max(self.start[1], other.start[1]),
            max(self.start[2], other.start[2]),
        )
        stop = (
            max(min(self.stop[0], other.stop[0]), start[0]),
            max(min(self.stop[1], other.stop[1]), start[1]),
            max(min(self.stop[2], other.stop[2]), start[2]),
        )
        return Box(start, stop)

    def hull(self, other: Box) -> Box:
        """The smallest box that holds both."""
        a, b, c, d = self.start, other.start, self.stop, other.stop
        return Box(
            (min(a[0], b[0]), min(a[1], b[1]), min(a[2], b[2])),
            (max(c[0], d[0]), max(c[1], d[1]), max(c[2], d[2])),
        )

    def contains(self, other: Box) -> bool:
        """True where every voxel of `other` lies inside."""
        return other.empty or self.intersect(other) == other

    def shift(self, by: Vec) -> Box:
        """The box moved by `by` voxels."""
        return Box(add(self.start, by), add(self.stop, by))

    def grow(self, low: Vec, high: Vec) -> Box:
        """The box with `low` voxels more before it and `high` more behind it on each axis."""
        return Box(sub(self.start, low), add(self.stop, high))

    def slices(self, origin: Vec = (0, 0, 0)) -> tuple[slice, slice, slice]:
        """Slices into an `(x, y, z)` array whose first voxel is `origin`."""
        a, b = sub(self.start, origin), sub(self.stop, origin)
        return (slice(a[0], b[0]), slice(a[1], b[1]), slice(a[2], b[2]))


def add(a: Vec, b: Vec) -> Vec:
    """Sum per axis."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def sub(a: Vec, b: Vec) -> Vec:
    """Difference per axis."""
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def mul(a: Vec, b: Vec) -> Vec:
    """Product per axis."""
    return (a[0] * b[0], a[1] * b[1], a[2] * b[2])


def floordiv(a: Vec, b: Vec) -> Vec:
    """Quotient per axis, rounded down (also for negative coordinates)."""
    return (a[0] // b[0], a[1] // b[1], a[2] // b[2])


def ceildiv(a: Vec, b: Vec) -> Vec:
    """Quotient per axis, rounded up."""
    return (-(-a[0] // b[0]), -(-a[1] // b[1]), -(-a[2] // b[2]))


def low(a: Vec, b: Vec) -> Vec:
    """Minimum per axis."""
    return (min(a[0], b[0]), min(a[1], b[1]), min(a[2], b[2]))


def high(a: Vec, b: Vec) -> Vec:
    """Maximum per axis."""
    return (max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2]))


def prod(a: Vec) -> int:
    """Product over the axes."""
    return a[0] * a[1] * a[2]
