"""From what the user wrote to an open source: `file:path-inside`, folder, glob, file or URL."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ophiolite.errors import SourceError, explain
from ophiolite.geometry.box import Vec
from ophiolite.sources.axes import checked_resolution
from ophiolite.sources.source import MAX_CHANNELS, Given, Source, decoding

Format = Literal["hdf5", "tiff", "slices", "npy", "nrrd", "precomputed", "zarr", "n5"]
Kind = Literal["image", "segmentation"]

# The data types of Precomputed; stated here too, since the codecs behind its own list are slow to import.
IMAGE_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32")
LABEL_DTYPES = ("uint8", "uint16", "uint32", "uint64")

_SUFFIXES: dict[str, Format] = {
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".he5": "hdf5",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".btf": "tiff",
    ".tf8": "tiff",
    ".npy": "npy",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".zarr": "zarr",
    ".n5": "n5",
    ".png": "slices",
    ".jpg": "slices",
    ".jpeg": "slices",
}
_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"II*\0", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\x93NUMPY", "npy"),
    (b"NRRD", "nrrd"),
    (b"\x89PNG", "slices"),
    (b"\xff\xd8\xff", "slices"),
)
_FOLDER_MARKS: tuple[tuple[str, Format], ...] = (
    ("zarr.json", "zarr"),
    (".zgroup", "zarr"),
    (".zarray", "zarr"),
    ("attributes.json", "n5"),
    ("info", "precomputed"),
)
_PREFIXES: dict[str, Format] = {"precomputed": "precomputed", "zarr": "zarr", "n5": "n5"}
_URL = re.compile(
    r"^(?:(?P<prefix>precomputed|zarr|n5)://)?"
    r"(?P<url>(?:https?|gs|s3|file)://[^:]+(?::[0-9]+[^:]*)?)"
    r"(?::(?P<inside>/.*))?$"
)


@dataclass(frozen=True)
class _Place:
    """What the user's text points at: a server address or a local path, and the path inside it ('' for none)."""

    url: str | None
    local: Path
    inside: str
    format: Format | None = None


def open_source(
    text: str,
    *,
    kind: Kind,
    format: str | None = None,
    base: Path = Path("."),
    resolution_nm: Sequence[float] | None = None,
    voxel_offset_vx: Vec | None = None,
    verify: bool = True,
) -> Source:
    """Open the raw volume that `text` names and judge it.

    `text` is `file:path-inside`, a folder, a glob, a file or a URL (http, https, gs, s3 for Precomputed, Zarr, N5);
    relative paths start at `base`. The format follows from name and content unless `format` names it. `resolution_nm`
    (x, y, z) and `voxel_offset_vx`, from the config, replace what the metadata say. `verify=False` spares the
    headers of the single slices of a stack, for jobs whose plan has read them.
    SourceError where the source is missing, damaged, or nothing a layer of this kind can be made from.
    """
    place = _place(text, base)
    nm = checked_resolution(text, resolution_nm) if resolution_nm is not None else None
    try:
        with decoding(text):
            source = _open(text, place, _format(text, place, format), Given(nm, voxel_offset_vx))
            check_source(source, kind)
            if verify:
                source.verify()
    except OSError as error:
        raise SourceError(
            explain(
                text, f"the source cannot be read ({error})", do="Check its permissions and that its disk is mounted"
            )
        ) from error
    return source


def check_source(source: Source, kind: Kind) -> None:
    """SourceError for a volume that cannot become a layer of `kind`: empty, too many channels, wrong type."""
    if 0 in source.shape_vx or source.channels == 0:
        raise SourceError(
            explain(
                source.path,
                "the volume is empty",
                expected="at least one voxel",
                got=f"shape {source.shape_vx} (x, y, z), {source.channels} channels",
                do="Point the source at a volume with voxels",
            )
        )
    if kind == "segmentation":
        _check_labels(source)
    elif source.dtype.name not in IMAGE_DTYPES:
        raise SourceError(
            explain(
                source.path,
                f"images of type {source.dtype} are not read",
                expected=", ".join(IMAGE_DTYPES),
                got=source.dtype,
                do="Convert the volume first, e.g. numpy `volume.astype('float32')` for float64, `'uint8'` for bool",
            )
        )
    if source.channels > MAX_CHANNELS:
        raise SourceError(
            explain(
                source.path,
                "the image has too many channels",
                expected=f"1 to {MAX_CHANNELS}",
                got=f"{source.channels} (read as the last stored axis unless the file names its axes)",
                do="Write fewer channels, or name the axes in the file (HDF5: attribute `axes`, e.g. 'czyx')",
            )
        )


def _check_labels(source: Source) -> None:
    if source.dtype.kind == "f":
        raise SourceError(
            explain(
                source.path,
                "labels cannot be floats, which lose numbers above 2^24 (float32) or 2^53 (float64)",
                expected=", ".join(LABEL_DTYPES),
                got=source.dtype,
                do="Write integer labels (numpy `labels.astype('uint64')`), or set `type: image` for intensities",
            )
        )
    if source.dtype.kind == "i":
        raise SourceError(
            explain(
                source.path,
                "labels cannot be signed",
                expected=", ".join(LABEL_DTYPES),
                got=source.dtype,
                do=f"Give negative labels a number of their own or 0, then write unsigned ones: numpy "
                f"`numpy.maximum(labels, 0).astype('u{source.dtype.name}')`",
            )
        )
    if source.dtype.name not in LABEL_DTYPES:
        raise SourceError(
            explain(
                source.path,
                f"labels of type {source.dtype} are not read",
                expected=", ".join(LABEL_DTYPES),
                got=source.dtype,
                do="Convert the labels first, e.g. numpy `labels.astype('uint8')` for a bool mask",
            )
        )
    if source.channels != 1:
        raise SourceError(
            explain(
                source.path,
                "labels have one channel",
                expected=1,
                got=f"{source.channels} channels",
                do="Write the label channel alone, or set `type: image`",
            )
        )


def _place(text: str, base: Path) -> _Place:
    match = _URL.match(text)
    if match:
        named: Format | None = _PREFIXES.get(match["prefix"])
        if match["url"].startswith("file://"):
            return _Place(None, Path(match["url"][7:]), match["inside"] or "", named)
        return _Place(match["url"], Path(), match["inside"] or "", named)
    named = None
    for prefix, format in _PREFIXES.items():
        if text.startswith(f"{prefix}://"):
            named, text = format, text[len(prefix) + 3 :]
    whole = (base / text).expanduser() if not text.startswith("~") else Path(text).expanduser()
    if ":" in text and not whole.exists():
        file, _, inside = text.rpartition(":")
        while ":" in file and not (base / file).exists():
            file, _, more = file.rpartition(":")
            inside = f"{more}:{inside}"
        return _Place(
            None, (base / file).expanduser() if not file.startswith("~") else Path(file).expanduser(), inside, named
        )
    return _Place(None, whole, "", named)


def _format(text: str, place: _Place, format: str | None) -> Format:
    if format is not None:
        for known in get_args(Format):
            if format == known:
                return known  # type: ignore[no-any-return]
        near = difflib.get_close_matches(format, get_args(Format), n=1)
        raise SourceError(
            explain(
                text,
                "there is no such source format",
                expected=", ".join(get_args(Format)),
                got=f"'{format}'",
                do=f"Write `format: {near[0] if near else 'hdf5'}`, or leave it out to have it detected",
            )
        )
    if place.format:
        return place.format
    suffix = Path(place.url or place.local).suffix.lower()
    if place.url:
        found: Format | None = _SUFFIXES.get(suffix)
        return found if found in ("zarr", "n5") else "precomputed"
    local = place.local
    if any(sign in str(local) for sign in "*?[") and not local.exists():
        return "slices"
    if not local.exists():
        raise _missing(text, local)
    if local.is_dir():
        return next((f for mark, f in _FOLDER_MARKS if (local / mark).exists()), _SUFFIXES.get(suffix, "slices"))
    with local.open("rb") as stream:
        start = stream.read(16)
    by_content = next((f for magic, f in _MAGIC if start.startswith(magic)), None)
    if by_content is None and suffix not in _SUFFIXES:
        raise SourceError(
            explain(
                text,
                "the format of the file is not known",
                expected=f"one of {', '.join(get_args(Format))}",
                got=f"a file ending in '{suffix}'",
                do="Convert the volume to one of these, or name its `format:` in the config",
            )
        )
    return by_content or _SUFFIXES[suffix]


def _missing(text: str, local: Path) -> SourceError:
    parent = local.parent
    if not parent.is_dir():
        return SourceError(
            explain(text, f"the folder {parent} does not exist", do="Correct the `source` in the config")
        )
    names = sorted(item.name for item in parent.iterdir())
    near = difflib.get_close_matches(local.name, names, n=1)
    return SourceError(
        explain(
            text,
            f"there is no file or folder {local}",
            got=f"in {parent}: {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}"
            if names
            else "an empty folder",
            do=f"Did you mean '{near[0]}'? Correct the `source` in the config"
            if near
            else "Correct the `source` in the config",
        )
    )


def _open(text: str, place: _Place, format: Format, given: Given) -> Source:
    if place.url and format not in ("precomputed", "zarr", "n5"):
        raise SourceError(
            explain(text, f"{format} is read from local files only", do="Download the file and give its local path")
        )
    if place.url is None and format != "slices" and not place.local.exists():
        raise _missing(text, place.local)
    # Each reader brings a heavy package of its own; only the one at hand is imported.
    if format == "hdf5":
        from ophiolite.sources.hdf5 import Hdf5Source

        return Hdf5Source(text, place.local, place.inside, given)
    if format == "tiff":
        from ophiolite.sources.tiff import TiffSource

        return TiffSource(text, place.local, given)
    if format == "slices":
        from ophiolite.sources.slices import SliceSource

        return SliceSource(text, place.local, given)
    if format == "npy":
        from ophiolite.sources.npy import NpySource

        return NpySource(text, place.local, given)
    if format == "nrrd":
        from ophiolite.sources.nrrd import NrrdSource

        return NrrdSource(text, place.local, given)
    root = place.url or place.local
    if format == "precomputed":
        from ophiolite.sources.precomputed import open_precomputed

        return open_precomputed(text, root, place.inside, given)
    if format == "zarr":
        from ophiolite.sources.zarr import open_zarr

        return open_zarr(text, root, place.inside, given)
    from ophiolite.sources.n5 import open_n5

    return open_n5(text, root, place.inside, given)
