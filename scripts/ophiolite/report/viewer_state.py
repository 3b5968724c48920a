"""The Neuroglancer state that opens every layer of a project, and the link that carries it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from ophiolite.errors import LayerError, explain

# What fits into a panel of the 2 x 2 layout on a small laptop: x runs across, y down, z either way.
PANEL_PX = (600, 380, 380)
# The one panel of a slide.
SLIDE_PX = (1100, 650)
# An object is shown with this much around it.
MARGIN = 1.3
CHANNEL_COLOURS = ("#ff00ff", "#00ff00", "#00b7ff", "#ffb000")


@dataclass(frozen=True)
class VolumeView:
    """An image or segmentation layer, as the viewer needs to know it.

    dataset, layer : names; the layer is shown as `dataset/layer` where a project has several datasets.
    path : folder of the layer relative to the served root, with forward slashes.
    kind : "image" or "segmentation".
    resolution_nm, start_vx, size_vx : of the finest scale, x, y, z.
    channels : number of channels.
    contrast : (black, white) in voxel values for images; None leaves the range to the viewer.
    selected : labels to select at first, largest first.
    """

    dataset: str
    layer: str
    path: str
    kind: str
    resolution_nm: tuple[float, float, float]
    start_vx: tuple[int, int, int]
    size_vx: tuple[int, int, int]
    channels: int = 1
    contrast: tuple[float, float] | None = None
    selected: tuple[int, ...] = ()

    @property
    def flat(self) -> bool:
        """Whether it is one section thick, as a slide is."""
        return self.size_vx[2] == 1


@dataclass(frozen=True)
class AnnotationView:
    """An annotation layer: its geometry type and the segmentation layers its relationships point to.

    annotation_type : "POINT", "LINE", "AXIS_ALIGNED_BOUNDING_BOX", "ELLIPSOID" or "POLYLINE".
    relationships : relationship name -> layer name in the same dataset.
    """

    dataset: str
    layer: str
    path: str
    annotation_type: str
    relationships: Mapping[str, str] = field(default_factory=dict)


LayerView = VolumeView | AnnotationView


@dataclass(frozen=True)
class ObjectView:
    """One object to look at: a label of a segmentation layer, its centroid and the sides of its box in nm."""

    dataset: str
    layer: str
    label: int
    centre_nm: tuple[float, float, float]
    extent_nm: tuple[float, float, float]


def viewer_state(layers: Sequence[LayerView], base: str, shown: ObjectView | None = None) -> dict[str, Any]:
    """Neuroglancer state (JSON) that opens `layers`, served under the URL `base`.

    Where an object is to be `shown`, it alone is selected in its layer, in the middle and as large as the view.
    Otherwise the first dataset is visible, the others are in the layer bar, hidden: they share coordinates. The
    position is the centre of the first volume, the zoom shows it whole, the background is black so that missing chunks
    are seen. A slide is opened alone, in one panel: nothing places it beside others. Its mask and boxes are hidden
    where there are objects.
    Meshes, skeletons and segment properties come by themselves from the `info` of the volume.
    Raises LayerError where there is no volume to look at.
    """
    volumes = [view for view in layers if isinstance(view, VolumeView)]
    if not volumes:
        raise LayerError(
            explain(
                "results",
                "there is no image or segmentation layer to look at",
                do="Run the workflow first, or name the folder of a project that has finished layers",
            )
        )
    if shown:
        volumes = [view for view in volumes if view.dataset == shown.dataset]
        layers = [_with_object(view, shown) for view in layers]
    home = next((view for view in volumes if view.kind == "image"), volumes[0])
    if home.flat:
        layers = [view for view in layers if view.dataset == home.dataset]
    several = len({view.dataset for view in layers}) > 1
    middle = [a + n / 2 for a, n in zip(home.start_vx, home.size_vx, strict=True)]
    extent_nm = [n * r for n, r in zip(home.size_vx, home.resolution_nm, strict=True)]
    if shown:
        middle = [nm / r for nm, r in zip(shown.centre_nm, home.resolution_nm, strict=True)]
        extent_nm = [MARGIN * nm for nm in shown.extent_nm]
    # The viewer measures zoom in its canonical voxel, which is the finest axis of the state's dimensions.
    canonical_nm = min(home.resolution_nm)
    panel_px = SLIDE_PX if home.flat else PANEL_PX
    hidden = _under_objects(layers) if home.flat else []
    return {
        "dimensions": {axis: [nm / 1e9, "m"] for axis, nm in zip(("x", "y", "z"), home.resolution_nm, strict=True)},
        "position": middle,
        "crossSectionScale": max(extent / canonical_nm / px for extent, px in zip(extent_nm, panel_px, strict=False)),
        "projectionOrientation": [0.36, -0.22, -0.09, 0.9],
        "projectionScale": sum(e * e for e in extent_nm) ** 0.5 / canonical_nm,
        "crossSectionBackgroundColor": "#000000",
        "projectionBackgroundColor": "#000000",
        "showSlices": False,
        **({"layout": "xy", "showAxisLines": False, "showScaleBar": True} if home.flat else {"layout": "4panel"}),
        "layers": [
            _layer(view, base, several, visible=view.dataset == home.dataset and view not in hidden) for view in layers
        ],
        "selectedLayer": {"visible": False, "layer": _name(home, several)},
    }


def _under_objects(layers: Sequence[LayerView]) -> list[LayerView]:
    """The mask and the boxes of a slide whose objects are there too, which show the same place."""
    named = {view.layer: view for view in layers}
    return [named[name] for name in ("mask", "boxes") if name in named and "objects" in named]


def viewer_link(state: Mapping[str, Any], base: str) -> str:
    """The URL of the Neuroglancer client at `base` with `state` in its fragment, percent-encoded."""
    text = json.dumps(state, separators=(",", ":"), ensure_ascii=False)
    return f"{base.rstrip('/')}/#!{quote(text, safe=':/,{}[]')}"


def largest_segments(properties: Mapping[str, Any], count: int) -> tuple[int, ...]:
    """The `count` largest labels of a segment properties JSON, largest first, ties by label.

    Size is the number property `voxels`. Where the tags `has_mesh` or `has_skeleton` exist, labels without them are
    passed over: a selected segment without its mesh never finishes loading in the viewer.
    Returns () where the properties hold no sizes.
    """
    inline = properties.get("inline", {})
    labels = [int(text) for text in inline.get("ids", [])]
    sizes: list[float] = []
    whole = [True] * len(labels)
    for item in inline.get("properties", []):
        if item.get("type") == "number" and item["id"] == "voxels":
            sizes = item["values"]
        elif item.get("type") == "tags":
            needed = {index for index, tag in enumerate(item["tags"]) if tag in ("has_mesh", "has_skeleton")}
            whole = [needed <= set(tags) for tags in item["values"]]
    if not sizes:
        return ()
    ranked = sorted((-size, label) for size, label, ok in zip(sizes, labels, whole, strict=True) if ok)
    return tuple(label for _, label in ranked[:count])


def _with_object(view: LayerView, shown: ObjectView) -> LayerView:
    if isinstance(view, VolumeView) and (view.dataset, view.layer) == (shown.dataset, shown.layer):
        return replace(view, selected=(shown.label,))
    return view


def _name(view: LayerView, several: bool) -> str:
    return f"{view.dataset}/{view.layer}" if several else view.layer


def _layer(view: LayerView, base: str, several: bool, visible: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "annotation" if isinstance(view, AnnotationView) else view.kind,
        "name": _name(view, several),
        "source": f"precomputed://{base.rstrip('/')}/{quote(view.path)}",
    }
    if isinstance(view, AnnotationView):
        entry |= _annotation(view, several)
    elif view.kind == "segmentation":
        entry |= {
            "selectedAlpha": 0.35,
            "notSelectedAlpha": 0.12,
            "hideSegmentZero": True,
            "segments": [str(label) for label in view.selected],
            "skeletonRendering": {"mode2d": "lines", "mode3d": "lines", "lineWidth3d": 2},
        }
    else:
        entry |= _image(view)
    return entry if visible else entry | {"visible": False}


def _image(view: VolumeView) -> dict[str, Any]:
    """Shader and contrast of an image: grey, RGB for three channels, additive colours for two or four."""
    limits = {} if view.contrast is None else {"range": list(view.contrast)}
    if view.channels == 1:
        shader = "#uicontrol invlerp normalized\nvoid main() {\n  emitGrayscale(normalized());\n}\n"
        return {"shader": shader} | ({"shaderControls": {"normalized": limits}} if limits else {})
    names = ("red", "green", "blue") if view.channels == 3 else [f"channel{i}" for i in range(view.channels)]
    controls = [f"#uicontrol invlerp {name}(channel={i}, clamp=true)" for i, name in enumerate(names)]
    if view.channels == 3:
        body = ["  emitRGB(vec3(red(), green(), blue()));"]
    else:
        controls += [
            f'#uicontrol vec3 colour{i} color(default="{CHANNEL_COLOURS[i % len(CHANNEL_COLOURS)]}")'
            for i in range(view.channels)
        ]
        total = " + ".join(f"{name}() * colour{i}" for i, name in enumerate(names))
        body = [f"  emitRGB({total});"]
    shader = "\n".join([*controls, "void main() {", *body, "}", ""])
    return {"shader": shader} | ({"shaderControls": dict.fromkeys(names, limits)} if limits else {})


def _annotation(view: AnnotationView, several: bool) -> dict[str, Any]:
    """Shader and links of an annotation layer."""
    marks = {
        "POINT": "setColor(defaultColor());\n  setPointMarkerSize(7.0);",
        "LINE": "setColor(defaultColor());\n  setLineWidth(3.0);\n  setEndpointMarkerSize(5.0);",
        # A mark at every point would hide the outline.
        "POLYLINE": "setColor(defaultColor());\n  setPolyLineWidth(2.0);\n  setPolyEndpointMarkerSize(0.0);"
        "\n  setPolyEndpointMarkerBorderWidth(0.0);",
        "AXIS_ALIGNED_BOUNDING_BOX": "setColor(defaultColor());\n  setBoundingBoxFillColor(vec4(0.0));"
        "\n  setBoundingBoxBorderWidth(2.0);",
    }
    body = marks.get(view.annotation_type, "setColor(defaultColor());")
    links = {
        relationship: f"{view.dataset}/{layer}" if several else layer
        for relationship, layer in view.relationships.items()
    }
    return {
        "annotationColor": "#ffd24a",
        "shader": f"void main() {{\n  {body}\n}}\n",
    } | ({"linkedSegmentationLayer": links} if links else {})
