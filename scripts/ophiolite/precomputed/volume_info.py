"""The `info` file of a Precomputed volume.

Specification: Neuroglancer, precomputed volume format, "info JSON file format".
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from ophiolite.errors import FormatError, explain
from ophiolite.geometry.box import Box, Vec
from ophiolite.geometry.grid import Grid
from ophiolite.precomputed.encoding import DATA_TYPES, ChunkEncoding, check_encoding
from ophiolite.precomputed.sharding import ShardingSpec

TYPE = "neuroglancer_multiscale_volume"
VolumeType = Literal["image", "segmentation"]
Nm = tuple[float, float, float]

_QUALITY_FIELD = {"jpeg": "jpeg_quality", "png": "png_level", "jxl": "jxl_quality"}


@dataclass(frozen=True)
class Scale:
    """One resolution of a volume; `sharding` None means a file per chunk."""

    key: str
    size_vx: Vec
    voxel_offset_vx: Vec
    resolution_nm: Nm
    chunk_vx: Vec
    encoding: ChunkEncoding
    sharding: ShardingSpec | None

    @property
    def box(self) -> Box:
        """The scale's voxels."""
        return Box.of(self.voxel_offset_vx, self.size_vx)

    @property
    def grid(self) -> Grid:
        """The scale's chunks."""
        return Grid(self.box, self.chunk_vx)


@dataclass(frozen=True)
class VolumeInfo:
    """What a volume's `info` says; `mesh`, `skeletons` and `segment_properties` are relative folders."""

    type: VolumeType
    data_type: str
    num_channels: int
    scales: tuple[Scale, ...]
    mesh: str | None = None
    skeletons: str | None = None
    segment_properties: str | None = None

    def to_json(self) -> bytes:
        """The bytes of the info file: fixed order of fields, indented, optional fields written, newline at the end."""
        out: dict[str, Any] = {
            "@type": TYPE,
            "type": self.type,
            "data_type": self.data_type,
            "num_channels": self.num_channels,
            "scales": [_scale_to_json(scale) for scale in self.scales],
        }
        for name in ("mesh", "skeletons", "segment_properties"):
            if getattr(self, name) is not None:
                out[name] = getattr(self, name)
        return (json.dumps(out, indent=2, ensure_ascii=False) + "\n").encode()


def parse_info(data: bytes, where: str) -> VolumeInfo:
    """Read an info file written by anybody; unknown fields are ignored.

    Raises FormatError naming file and field.
    """
    try:
        info = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FormatError(explain(where, f"this is not JSON ({error})", do="Make the info file again")) from error
    if not isinstance(info, dict):
        raise _field(where, "info", "an object", info)
    if info.get("@type", TYPE) != TYPE:
        raise _field(where, "@type", TYPE, info["@type"])
    kind = _text(info, "type", where)
    if kind not in ("image", "segmentation"):
        raise _field(where, "type", "image or segmentation", kind)
    data_type = _text(info, "data_type", where).lower()
    if data_type not in DATA_TYPES:
        raise _field(where, "data_type", " or ".join(DATA_TYPES), data_type)
    num_channels = _integer(info.get("num_channels"), "num_channels", where, least=1)
    scales = info.get("scales")
    if not isinstance(scales, list) or not scales:
        raise _field(where, "scales", "a list of at least one scale", scales)
    return VolumeInfo(
        type=cast(VolumeType, kind),
        data_type=data_type,
        num_channels=num_channels,
        scales=tuple(_parse_scale(s, f"scales[{i}]", data_type, num_channels, where) for i, s in enumerate(scales)),
        mesh=_folder(info, "mesh", where),
        skeletons=_folder(info, "skeletons", where),
        segment_properties=_folder(info, "segment_properties", where),
    )


def scale_key(resolution_nm: Nm) -> str:
    """Folder of a scale, its resolution in nm with every digit: `8_8_40`, `3.5_3.5_30`."""
    return "_".join(str(_number(r)) for r in resolution_nm)


def chunk_name(box: Box) -> str:
    """File name of an unsharded chunk: its voxels as `x0-x1_y0-y1_z0-z1`, already clipped by the volume."""
    return "_".join(f"{a}-{b}" for a, b in zip(box.start, box.stop, strict=True))


def _scale_to_json(scale: Scale) -> dict[str, Any]:
    encoding = scale.encoding
    out: dict[str, Any] = {
        "key": scale.key,
        "size": list(scale.size_vx),
        "voxel_offset": list(scale.voxel_offset_vx),
        "resolution": [_number(r) for r in scale.resolution_nm],
        "chunk_sizes": [list(scale.chunk_vx)],
        "encoding": encoding.name,
    }
    if encoding.name == "compressed_segmentation":
        out["compressed_segmentation_block_size"] = list(encoding.block_vx)
    if encoding.name in _QUALITY_FIELD:
        out[_QUALITY_FIELD[encoding.name]] = encoding.quality
    if scale.sharding is not None:
        out["sharding"] = scale.sharding.to_json()
    return out


def _parse_scale(scale: object, path: str, data_type: str, num_channels: int, where: str) -> Scale:
    if not isinstance(scale, dict):
        raise _field(where, path, "an object", scale)
    chunk_sizes = scale.get("chunk_sizes")
    if not isinstance(chunk_sizes, list) or not chunk_sizes:
        raise _field(where, f"{path}.chunk_sizes", "a list of at least one chunk size", chunk_sizes)
    sharding = None
    if scale.get("sharding") is not None:
        sharding = ShardingSpec.from_json(scale["sharding"], f"{where}: {path}")
        if len(chunk_sizes) > 1:
            raise _field(where, f"{path}.chunk_sizes", "one chunk size, as the scale is sharded", chunk_sizes)
    name = _text(scale, "encoding", where, path).lower()
    block: Vec = (8, 8, 8)
    if name == "compressed_segmentation":
        field = "compressed_segmentation_block_size"
        block = _vec(scale.get(field), f"{path}.{field}", where, least=1)
    quality = None
    if name in _QUALITY_FIELD and scale.get(_QUALITY_FIELD[name]) is not None:
        quality = _integer(scale[_QUALITY_FIELD[name]], f"{path}.{_QUALITY_FIELD[name]}", where)
    # Whether single files are gzipped is told by the server, not by info.
    gzip = sharding is not None and sharding.data_encoding == "gzip"
    encoding = ChunkEncoding(name, quality, block, gzip)
    check_encoding(replace(encoding, gzip=False), data_type, num_channels, f"{where}: {path}.encoding")
    return Scale(
        key=_text(scale, "key", where, path),
        size_vx=_vec(scale.get("size"), f"{path}.size", where, least=1),
        voxel_offset_vx=_vec(scale.get("voxel_offset", [0, 0, 0]), f"{path}.voxel_offset", where),
        resolution_nm=_resolution(scale.get("resolution"), f"{path}.resolution", where),
        chunk_vx=_vec(chunk_sizes[0], f"{path}.chunk_sizes[0]", where, least=1),
        encoding=encoding,
        sharding=sharding,
    )


def _number(value: float) -> int | float:
    """The number as JSON and names spell it best: whole numbers without a point."""
    return int(value) if float(value).is_integer() else float(value)


def _integer(value: object, field: str, where: str, least: int | None = None) -> int:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
    if not whole or (least is not None and cast(int, value) < least):
        raise _field(where, field, "a whole number" + (f" of at least {least}" if least is not None else ""), value)
    return int(cast(int, value))


def _vec(value: object, field: str, where: str, least: int | None = None) -> Vec:
    if not isinstance(value, list) or len(value) != 3:
        raise _field(where, field, "a list of three whole numbers, x, y, z", value)
    x, y, z = (_integer(v, f"{field}[{i}]", where, least) for i, v in enumerate(value))
    return (x, y, z)


def _resolution(value: object, field: str, where: str) -> Nm:
    if not isinstance(value, list) or len(value) != 3:
        raise _field(where, field, "a list of three lengths in nm, x, y, z", value)
    for i, v in enumerate(value):
        if isinstance(v, bool) or not isinstance(v, int | float) or not math.isfinite(v) or v <= 0:
            raise _field(where, f"{field}[{i}]", "a positive length in nm", v)
    return (_number(value[0]), _number(value[1]), _number(value[2]))


def _text(value: dict[str, Any], name: str, where: str, path: str = "") -> str:
    got = value.get(name)
    if not isinstance(got, str) or not got:
        raise _field(where, f"{path}.{name}" if path else name, "a text", got)
    return got


def _folder(info: dict[str, Any], name: str, where: str) -> str | None:
    return None if info.get(name) is None else _text(info, name, where)


def _field(where: str, field: str, expected: str, got: object) -> FormatError:
    return FormatError(
        explain(
            f"{where}: {field}",
            "this field is missing or cannot be used" if got is None else "this field cannot be used",
            expected=expected,
            got=None if got is None else json.dumps(got)[:80],
            do="Mend the info file, or make the layer again",
        )
    )
