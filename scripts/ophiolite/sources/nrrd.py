"""NRRD volumes: raw ones mapped, gzipped ones streamed; attached and detached headers."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import SourceError, explain
from ophiolite.geometry.box import Box, Vec
from ophiolite.sources.axes import checked_resolution, lengths_in_nm, offset_in_voxels, stored_axes, unit_in_nm
from ophiolite.sources.cache import ArrayCache
from ophiolite.sources.source import CACHE_BYTES, NOTHING_GIVEN, Given, Header, HeaderSource, Nm

_GZIP = ("gzip", "gz")
_NUMPY = {
    "int8": "i1 signed char",
    "uint8": "u1 uchar,unsigned char",
    "int16": "i2 short,short int,signed short,signed short int",
    "uint16": "u2 ushort,unsigned short,unsigned short int",
    "int32": "i4 int,signed int",
    "uint32": "u4 uint,unsigned int",
    "int64": "i8 longlong,long long,long long int,signed long long,signed long long int",
    "uint64": "u8 ulonglong,unsigned long long,unsigned long long int",
    "float32": "f4 float",
    "float64": "f8 double",
}
_DTYPES = {
    name.strip(): np.dtype(code.split()[0])
    for first, code in _NUMPY.items()
    for name in (first, f"{first}_t", *code.partition(" ")[2].split(","))
}
_SPATIAL_KINDS = ("domain", "space")
_STEP_BYTES = 2**20
_CHECKPOINT_BYTES = 2**24


class NrrdSource(HeaderSource):
    """One NRRD volume (http://teem.sourceforge.net/nrrd/format.html): its first spatial axis is x, and so on.

    Voxel size: lengths of the `space directions` (or `spacings`) in `space units` (or `units`); anatomical spaces are
    in millimetres where no unit is written, others say nothing. First voxel: the `space origin`, where the axes run
    along the space's own and forward, rounded to whole voxels; oblique or flipped volumes lie at (0, 0, 0).
    An axis of kind other than domain or space is the channel axis. `given` replaces what the file says.
    SourceError for truncated files, several data files, and encodings besides raw and gzip.
    """

    def __init__(self, path: str, file: Path, given: Given = NOTHING_GIVEN) -> None:
        header, at = _read_header(path, file)
        data_file, start, skip = _data_place(path, file, header, at)
        encoding = str(header["encoding"]).lower()
        dtype = _dtype(path, header)
        shape = tuple(int(n) for n in header["sizes"])
        axes = stored_axes(path, shape, _axis_names(path, header, len(shape)))
        directions = _directions(header, axes.names)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self._axes = axes
        self._map: NDArray[Any] | None = None
        if encoding == "raw":
            held = data_file.stat().st_size
            start = held - size if skip < 0 else start + skip
            if start < 0 or held < start + size:
                raise _truncated(path, size, held - max(start, 0))
            if size:
                self._map = np.memmap(data_file, dtype, "r", offset=start, shape=shape, order="F")
        elif encoding in _GZIP:
            self._z_axis = axes.names.index("z") if "z" in axes.names else len(shape)
            self._planes = ArrayCache(CACHE_BYTES)
            self._plane = np.empty(shape[: self._z_axis], dtype, order="F")
            self._stream = _GzipStream(path, data_file, start)
            self._skip = max(skip, 0)
        else:
            raise SourceError(
                explain(
                    path,
                    "the NRRD's encoding is not read",
                    expected="raw or gzip",
                    got=encoding,
                    do="Write it again, e.g. with pynrrd: nrrd.write(file, array, header) with encoding gzip",
                )
            )
        x, y, _ = axes.shape_vx
        super().__init__(
            Header(
                path=path,
                shape_vx=axes.shape_vx,
                channels=axes.channels,
                dtype=dtype,
                resolution_nm=given.resolution_nm or _resolution(path, header, directions),
                voxel_offset_vx=given.voxel_offset_vx or _offset(path, header, directions),
                alignment_vx=(1, 1, 1) if encoding == "raw" else (x, y, 1),
                files=tuple(sorted({str(file), str(data_file)})),
                cache_bytes=0 if encoding == "raw" else CACHE_BYTES,
            )
        )

    def _decode(self, box: Box) -> NDArray[Any]:
        select = self._axes.select(box)
        if self._map is not None:
            return self._axes.arrange(self._map[select])
        # What lies before z in the file is one piece; z, and channels where they lie behind it, count the pieces.
        within, outer = select[: self._z_axis], select[self._z_axis :]
        count = np.arange(int(np.prod(self._axes.shape[self._z_axis :])))
        pieces = count.reshape(self._axes.shape[self._z_axis :], order="F")[outer]
        planes = [self._read_plane(int(index))[within] for index in pieces.ravel(order="F")]
        stack = np.stack(planes, axis=-1)
        return self._axes.arrange(stack.reshape(*stack.shape[:-1], *pieces.shape, order="F"))

    def _caches(self) -> tuple[ArrayCache, ...]:
        return (self._planes,) if self._map is None else ()

    def _read_plane(self, index: int) -> NDArray[Any]:
        plane = self._plane

        def inflate() -> NDArray[Any]:
            data = self._stream.read(self._skip + index * plane.nbytes, plane.nbytes)
            return np.frombuffer(data, plane.dtype).reshape(plane.shape, order="F")

        return self._planes.get(index, inflate)

    def _more_facts(self) -> tuple[object, ...]:
        return (self._axes.names,)


class _GzipStream:
    """Random access to a gzip stream: forward by inflating, back by the copies of the inflater kept on the way."""

    def __init__(self, path: str, file: Path, start: int) -> None:
        self._path = path
        self._file = file.open("rb")
        # Position in the output, position in the file, inflater as it was there.
        self._kept: list[tuple[int, int, Any]] = [(0, start, zlib.decompressobj(31))]
        self._out, self._in, self._inflater = 0, start, self._kept[0][2].copy()
        self._spare = b""

    def read(self, start: int, count: int) -> bytes:
        """`count` bytes of the output from `start` on."""
        position, at, inflater = max((k for k in self._kept if k[0] <= start), key=lambda k: k[0])
        if start < self._out or position > self._out:
            self._out, self._in, self._inflater, self._spare = position, at, inflater.copy(), b""
        parts: list[bytes] = []
        stop = start + count
        while self._out < stop:
            piece = self._spare or self._inflate()
            if not piece:
                raise _truncated(self._path, stop, self._out)
            used = piece[: stop - self._out]
            self._spare = piece[len(used) :]
            if self._out + len(used) > start:
                parts.append(used[max(start - self._out, 0) :])
            self._out += len(used)
        return b"".join(parts)

    def _inflate(self) -> bytes:
        if self._out - self._kept[-1][0] >= _CHECKPOINT_BYTES:
            self._kept.append((self._out, self._in, self._inflater.copy()))
        while True:
            self._file.seek(self._in)
            packed = self._file.read(_STEP_BYTES // 4)
            if not packed:
                return b""
            if self._inflater.eof:
                self._inflater = zlib.decompressobj(31)
            try:
                piece: bytes = self._inflater.decompress(packed, _STEP_BYTES)
            except zlib.error as error:
                raise SourceError(
                    explain(
                        self._path, f"the gzip stream is damaged ({error})", do="Restore the file from its original"
                    )
                ) from error
            # What was not consumed is read again, so that a position in the file is all a checkpoint needs.
            self._in += len(packed) - len(self._inflater.unconsumed_tail) - len(self._inflater.unused_data)
            if piece:
                return piece


def _read_header(path: str, file: Path) -> tuple[dict[str, Any], int]:
    try:
        with file.open("rb") as stream:
            header = dict(nrrd.read_header(stream))
            header.setdefault("encoding", "raw")
            for field in ("type", "sizes"):
                if field not in header:
                    raise nrrd.NRRDError(f"field '{field}' is missing")
            return header, stream.tell()
    except (nrrd.NRRDError, ValueError, KeyError, OSError) as error:
        raise SourceError(
            explain(path, f"the NRRD header cannot be read ({error})", do="Give a NRRD file, or the right `format:`")
        ) from error


def _data_place(path: str, file: Path, header: dict[str, Any], at: int) -> tuple[Path, int, int]:
    """The file with the voxels, where they (or the gzip stream of them) begin, and how many decoded bytes to skip.

    A skip of -1 means that raw voxels are the last bytes of the file.
    """
    named = header.get("data file", header.get("datafile"))
    data_file = file
    if named is not None:
        if str(named).upper().startswith("LIST") or "%" in str(named):
            raise SourceError(
                explain(
                    path, "the volume is spread over several data files", got=named, do="Join them to one NRRD file"
                )
            )
        data_file, at = file.parent / str(named), 0
        if not data_file.exists():
            raise SourceError(
                explain(
                    path, f"the header names a data file that does not exist: {named}", do=f"Put it into {file.parent}"
                )
            )
    lines, skip = (int(header.get(f"{u} skip", header.get(f"{u}skip", 0))) for u in ("line", "byte"))
    with data_file.open("rb") as stream:
        stream.seek(at)
        for _ in range(lines):
            stream.readline()
        return data_file, stream.tell(), skip


def _dtype(path: str, header: dict[str, Any]) -> np.dtype[Any]:
    name = " ".join(str(header["type"]).split())
    if name not in _DTYPES:
        raise SourceError(
            explain(
                path, f"voxels of type '{name}' are not read", expected="integers or floats", do="Convert the volume"
            )
        )
    return _DTYPES[name].newbyteorder(">" if str(header.get("endian", "little")).lower() == "big" else "<")


def _axis_names(path: str, header: dict[str, Any], count: int) -> str:
    kinds = [str(kind).lower() for kind in header.get("kinds", [])]
    if kinds:
        spatial = [i for i, kind in enumerate(kinds) if kind in _SPATIAL_KINDS]
    elif header.get("space directions") is not None:
        spatial = [i for i in range(count) if _row(header, i) is not None]
    else:
        spatial = list(range(min(count, 3)))
    others = [i for i in range(count) if i not in spatial]
    if (kinds and len(kinds) != count) or not 2 <= len(spatial) <= 3 or len(others) > 1:
        raise SourceError(
            explain(
                path,
                "the NRRD's axes are no volume",
                expected="2 or 3 spatial axes and at most one of channels",
                got=f"sizes {list(header['sizes'])}, kinds {kinds}",
                do="Write the volume with `kinds: domain domain domain`",
            )
        )
    names = dict(zip(spatial, "xyz", strict=False)) | dict.fromkeys(others, "c")
    return "".join(names[i] for i in range(count))


def _row(header: dict[str, Any], axis: int) -> NDArray[np.float64] | None:
    """The direction of one axis; None where the header writes `none`."""
    directions = header.get("space directions")
    if directions is None or directions[axis] is None:
        return None
    row = np.asarray(directions[axis], float)
    return None if np.isnan(row).all() else row


def _directions(header: dict[str, Any], names: str) -> NDArray[np.float64] | None:
    """(3, n) direction of x, y and z in the space's coordinates; None where the header does not say."""
    rows = [_row(header, names.index(name)) if name in names else None for name in "xyz"]
    if header.get("space directions") is not None and all(row is not None for row in rows):
        return np.array(rows)
    spacings = header.get("spacings")
    if spacings is None or "z" not in names:
        return None
    lengths = [float(spacings[names.index(name)]) for name in "xyz"]
    return None if np.isnan(lengths).any() else np.diag(lengths)


def _resolution(path: str, header: dict[str, Any], directions: NDArray[np.float64] | None) -> Nm | None:
    if directions is None:
        return None
    units = header.get("space units") or header.get("units")
    unit = next((str(u) for u in units if str(u).strip('"')), None) if units is not None else None
    space = str(header.get("space", "")).lower()
    if unit is None and any(word in space for word in ("anterior", "posterior", "scanner", "ras", "las", "lps")):
        unit = "mm"
    factor = unit_in_nm(unit)
    if factor is None:
        return None
    # Not the norm for spacings below zero, which are a fault and not a direction.
    lengths = np.diag(directions) if "spacings" in header else np.sqrt((directions**2).sum(axis=1))
    return checked_resolution(path, lengths_in_nm([float(v) for v in lengths], factor))


def _offset(path: str, header: dict[str, Any], directions: NDArray[np.float64] | None) -> Vec:
    origin = header.get("space origin")
    if origin is None or directions is None or directions.shape != (3, 3):
        return (0, 0, 0)
    steps = np.diag(directions)
    if (steps <= 0).any() or not np.allclose(directions, np.diag(steps), atol=1e-6 * steps.max()):
        return (0, 0, 0)
    # Origin and steps are in one unit, so their ratio is voxels whatever the unit is.
    return offset_in_voxels(
        path, [float(v) for v in origin], (float(steps[0]), float(steps[1]), float(steps[2])), broken="round"
    )


def _truncated(path: str, expected: int, got: int) -> SourceError:
    return SourceError(
        explain(
            path,
            "the NRRD file is truncated",
            expected=f"{expected} bytes of voxels",
            got=f"{got}",
            do="Copy or write the file again; its end is missing",
        )
    )
