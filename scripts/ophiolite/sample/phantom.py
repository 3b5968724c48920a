"""Put a phantom together: drawn cells, tissue between them, tiny objects, image, truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ophiolite.errors import ConfigError, explain
from ophiolite.geometry.box import Vec
from ophiolite.sample.image import Organelles, depths_nm, render
from ophiolite.sample.neurites import Neurite, Scene, compose
from ophiolite.sample.shapes import Canvas, smooth_noise
from ophiolite.sample.synapses import Contact, find_contacts
from ophiolite.sample.tissue import gaps, grow, separate
from ophiolite.sample.truth import Drawn, Phantom, Synapse, measure

RESOLUTION_NM: Vec = (12, 12, 40)
VOXEL_OFFSET_VX: Vec = (37, 101, 11)
SMALLEST_VX: Vec = (48, 48, 32)
NUCLEUS = 0.6

# Labels that slips of arithmetic confuse: the first two touch and are equal as float64; the next two are equal modulo
# 2^32; the last is negative as int64.
TRUNK_LABEL = 2**53
COMPANION_LABEL = 2**53 + 1
SOMA_LABEL = 2**32 + 7
SHEET_LABEL = 7
ENCLOSED_LABEL = 864691135 * 10**9 + 1
VOXEL_LABEL = 2**63 + 2**53 + 1


class Register:
    """Hands out ids (1, 2, ... for the work) and labels (any uint64, for the file)."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.drawn: dict[int, Drawn] = {}
        self.used = {0, TRUNK_LABEL, COMPANION_LABEL, SOMA_LABEL, SHEET_LABEL, ENCLOSED_LABEL, VOXEL_LABEL}

    def fresh(self) -> int:
        """An unused label: most are small, some lie above 2^32, some above 2^53."""
        while True:
            kind = self.rng.uniform()
            if kind < 0.8:
                label = int(self.rng.integers(8, 100_000))
            elif kind < 0.92:
                label = int(self.rng.integers(2**32, 2**40))
            else:
                label = 864691135 * 10**9 + int(self.rng.integers(10**9))
            if label not in self.used:
                self.used.add(label)
                return label

    def add(self, kind: str, label: int | None = None, shape: Neurite | None = None) -> int:
        """Register the next object; returns its id."""
        geometry = shape or Neurite()
        self.drawn[len(self.drawn) + 1] = Drawn(
            label=self.fresh() if label is None else label,
            kind=kind,
            branches=tuple(geometry.branches),
            junctions_nm=tuple((float(p[0]), float(p[1]), float(p[2])) for p in geometry.junctions),
            tips_nm=tuple((float(p[0]), float(p[1]), float(p[2])) for p in geometry.tips),
        )
        return len(self.drawn)


def draw_cells(rng: np.random.Generator, scene: Scene, canvas: Canvas, register: Register) -> int:
    """Draw neurites and soma; each takes the voxels it claims most strongly. Returns the soma's id."""
    for i, neurite in enumerate(scene.neurites):
        ident = register.add("neurite", (TRUNK_LABEL, COMPANION_LABEL)[i] if i < 2 else None, neurite)
        for points, radius in neurite.drawn:
            canvas.tube(points, radius, ident)
    soma = register.add("soma", SOMA_LABEL, scene.soma)
    shape = (canvas.ids.shape[0], canvas.ids.shape[1], canvas.ids.shape[2])
    canvas.ball(scene.soma_centre, scene.soma_radius, soma, smooth_noise(rng, shape, (40, 40, 12)))
    for points, radius in scene.soma.drawn:
        canvas.tube(points, radius, soma)
    return soma


def glia(rng: np.random.Generator, canvas: Canvas, scale: float) -> NDArray[np.bool_]:
    """A thin wavy sheet across the whole volume, at right angles to y: (x, y, z) bool."""
    nx, ny, nz = canvas.ids.shape
    x, y, z = canvas.centres_nm((slice(0, nx), slice(0, ny), slice(0, nz)))
    ex, ey, ez = canvas.extent_nm.astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, 2)
    wave = 0.028 * np.sin(7 * x / ex + phase[0]) + 0.022 * np.sin(5 * z / ez + phase[1])
    out: NDArray[np.bool_] = np.abs(y - ey * (0.1 + wave)) < max(48 * scale, 30)
    return out


def enclose(ids: NDArray[np.int32], scene: Scene, soma: int, ident: int, canvas: Canvas) -> None:
    """Put a small ball into the soma, all around in its cytoplasm where there is room, off its centreline."""
    from scipy import ndimage

    reach = 1.2 * scene.soma_radius
    window = canvas.window(scene.soma_centre - reach, scene.soma_centre + reach)
    if window is None:
        return
    part = ids[window]
    # The rim counts as outside, so that the ball never meets a face of the volume.
    depth = ndimage.distance_transform_edt(np.pad(part == soma, 1), sampling=canvas.resolution_nm)[1:-1, 1:-1, 1:-1]
    centres = canvas.centres_nm(window)
    away = np.sqrt(sum((g - np.float32(c)) ** 2 for g, c in zip(centres, scene.soma_centre, strict=True)))
    neighbour_nm = float(np.linalg.norm(canvas.resolution_nm))
    line = np.concatenate([b.points_nm for b in scene.soma.branches] or [scene.soma_centre[None]])
    for radius in (0.1 * scene.soma_radius, 0.06 * scene.soma_radius, 5.0):
        fits = np.flatnonzero(depth > radius + neighbour_nm)
        for k in fits[np.argsort(np.abs(away.ravel()[fits] - 0.78 * scene.soma_radius), kind="stable")][::50]:
            spot = np.unravel_index(k, part.shape)
            centre = np.array([float(g.ravel()[i]) for g, i in zip(centres, spot, strict=True)])
            if np.linalg.norm(line - centre, axis=1).min() > radius + neighbour_nm:
                d2 = sum((g - np.float32(c)) ** 2 for g, c in zip(centres, centre, strict=True))
                part[d2 <= radius * radius] = ident
                return


def specks(rng: np.random.Generator, ids: NDArray[np.int32], host: NDArray[np.bool_], register: Register) -> None:
    """Put objects of one and two voxels into small processes; `host` says which ids may hold them.

    Two objects of one voxel; two voxels that share a face across the middle plane of x, two across that of z; two
    voxels that share only an edge.
    """
    from scipy import ndimage

    low = ndimage.minimum_filter(ids, (5, 5, 3))
    alone = (low == ndimage.maximum_filter(ids, (5, 5, 3))) & host[ids]
    alone[[0, 1, -2, -1]] = False
    alone[:, [0, 1, -2, -1]] = False
    alone[:, :, [0, -1]] = False
    mx, mz = ids.shape[0] // 2, ids.shape[2] // 2
    wanted = [
        ("voxel", VOXEL_LABEL, [(0, 0, 0)], None),
        ("voxel", None, [(0, 0, 0)], None),
        ("pair", None, [(0, 0, 0), (1, 0, 0)], (0, mx - 1)),
        ("pair", None, [(0, 0, 0), (0, 0, 1)], (2, mz - 1)),
        ("diagonal", None, [(0, 0, 0), (1, 1, 0)], None),
    ]
    for kind, label, shape, plane in wanted:
        fits = alone.copy()
        for dx, dy, dz in shape[1:]:
            fits &= np.roll(alone, (-dx, -dy, -dz), (0, 1, 2))
        if plane is not None:
            keep = np.zeros(ids.shape[plane[0]], np.bool_)
            keep[plane[1]] = True
            fits &= keep.reshape([-1 if k == plane[0] else 1 for k in range(3)])
        spots = np.flatnonzero(fits)
        if len(spots) == 0:
            continue
        x, y, z = (int(c) for c in np.unravel_index(spots[int(rng.integers(len(spots)))], ids.shape))
        ident = register.add(kind, label)
        for dx, dy, dz in shape:
            ids[x + dx, y + dy, z + dz] = ident
        alone[max(x - 6, 0) : x + 7, max(y - 6, 0) : y + 7, max(z - 3, 0) : z + 4] = False


def make_phantom(size_vx: Vec, seed: int) -> Phantom:
    """Make the phantom of a seed: a block of neuropil of `size_vx` voxels of 12 x 12 x 40 nm, with its truth.

    Raises ConfigError for a size too small to hold the objects or a negative seed.
    """
    if any(n < m for n, m in zip(size_vx, SMALLEST_VX, strict=True)):
        raise ConfigError(
            explain(
                "--size-vx",
                "the sample is too small for its contents",
                expected="at least {} x {} x {}".format(*SMALLEST_VX),
                got="{} x {} x {}".format(*size_vx),
                do="Ask for a larger size",
            )
        )
    if seed < 0:
        raise ConfigError(
            explain("--seed", "a seed cannot be negative", expected="0 or more", got=seed, do="Choose another")
        )
    placing, drawing, filling, naming, painting = (np.random.default_rng([seed, k]) for k in range(5))
    canvas = Canvas.blank(size_vx, RESOLUTION_NM)
    register = Register(naming)
    scene = compose(placing, canvas.extent_nm)
    soma = draw_cells(drawing, scene, canvas, register)
    ids = canvas.ids
    glial = register.add("sheet", SHEET_LABEL)
    ids[glia(drawing, canvas, scene.scale) & (ids == 0)] = glial
    tissue = grow(filling, size_vx, RESOLUTION_NM, scene.scale)
    tissue.ids[gaps(filling, tissue.ids)] = 0
    between = (ids == 0) & (tissue.ids > 0)
    ids[between] = tissue.ids[between] + glial
    ids = separate(ids)
    for _ in range(len(register.drawn), int(ids.max())):
        register.add("process")
    sizes = np.bincount(ids.ravel())
    host = np.arange(len(sizes)) > glial
    host &= sizes > 2000
    specks(filling, ids, host, register)
    enclose(ids, scene, soma, register.add("enclosed", ENCLOSED_LABEL), canvas)

    depth = depths_nm(ids, RESOLUTION_NM)
    talks = np.zeros(len(register.drawn) + 1, np.bool_)
    talks[: len(sizes)] = sizes > 1500
    talks[[0, glial]] = False
    contacts = find_contacts(painting, ids, depth, talks, max(round(ids.size / 130_000), 6), RESOLUTION_NM)
    inner = Organelles(
        soma=soma,
        soma_radius=scene.soma_radius,
        nucleus_centre=scene.soma_centre,
        nucleus_radius=NUCLEUS * scene.soma_radius,
        tubes=[tube for neurite in scene.neurites for tube in neurite.drawn] + list(tissue.tubes.values()),
    )
    tone = painting.normal(158, 11, len(talks)).astype(np.float32)
    tone[0], tone[glial] = 176, 126
    raw = render(painting, ids, depth, tone, contacts, inner, RESOLUTION_NM)
    labels = np.zeros(len(talks), np.uint64)
    for ident, drawn in register.drawn.items():
        labels[ident] = drawn.label
    return Phantom(
        raw=raw,
        labels=np.asfortranarray(labels[ids]),
        resolution_nm=RESOLUTION_NM,
        voxel_offset_vx=VOXEL_OFFSET_VX,
        seed=seed,
        objects=measure(ids, register.drawn, RESOLUTION_NM, VOXEL_OFFSET_VX),
        synapses=tell(contacts, register),
    )


def tell(contacts: list[Contact], register: Register) -> tuple[Synapse, ...]:
    """Synapses in physical coordinates; ids count up from 1, shared presynaptic sites keep one id."""
    out = []
    names: dict[Vec, int] = {}
    count = 0
    for contact in contacts:
        if contact.pre_site not in names:
            count += 1
            names[contact.pre_site] = count
        count += 1
        out.append(
            Synapse(
                pre_id=names[contact.pre_site],
                post_id=count,
                pre_nm=physical_nm(contact.pre_site),
                post_nm=physical_nm(contact.post_site),
                pre_label=register.drawn[contact.pre].label,
                post_label=register.drawn[contact.post].label,
            )
        )
    return tuple(out)


def physical_nm(voxel: Vec) -> tuple[float, float, float]:
    """The centre of a voxel of the volume in mip-0 physical nanometres."""
    x, y, z = ((v + o + 0.5) * r for v, o, r in zip(voxel, VOXEL_OFFSET_VX, RESOLUTION_NM, strict=True))
    return (x, y, z)
