"""What the collapse of one edge costs, and whether it leaves a face sound: compiled into `kernels.simplify_loops`."""

from __future__ import annotations

from typing import Any

from ophiolite.kernels.compiled import inner

# A face may turn by 60 degrees, and become no worse in shape than this share of an equilateral triangle.
_LEAST_COSINE = 0.5
_LEAST_COMPACTNESS = 0.05
# Where planes fix no point (flat and ridge regions) shorter edges go first.
_LENGTH_SHARE = 1e-6


@inner
def place(v: Any, q: Any, locked: Any, a: int, b: int) -> Any:
    """Where edge a b should collapse to: x, y, z, the sum of squared distances there, its weight, and the price."""
    xx, xy, xz = q[a, 0] + q[b, 0], q[a, 1] + q[b, 1], q[a, 2] + q[b, 2]
    yy, yz, zz = q[a, 3] + q[b, 3], q[a, 4] + q[b, 4], q[a, 5] + q[b, 5]
    # About the middle of the edge: what is added up then is small.
    mx, my, mz = (v[a, 0] + v[b, 0]) / 2, (v[a, 1] + v[b, 1]) / 2, (v[a, 2] + v[b, 2]) / 2
    dx, dy, dz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    length2 = dx * dx + dy * dy + dz * dz
    sx, sy, sz = q[a, 6] + q[b, 6], q[a, 7] + q[b, 7], q[a, 8] + q[b, 8]
    gx = xx * mx + xy * my + xz * mz + sx
    gy = xy * mx + yy * my + yz * mz + sy
    gz = xz * mx + yz * my + zz * mz + sz
    base = (gx + sx) * mx + (gy + sy) * my + (gz + sz) * mz + q[a, 9] + q[b, 9]
    weight = max(q[a, 10] + q[b, 10], 1e-300)
    x, y, z = 0.0, 0.0, 0.0
    if locked[a]:
        x, y, z = -dx / 2, -dy / 2, -dz / 2
    elif locked[b]:
        x, y, z = dx / 2, dy / 2, dz / 2
    else:
        cxx, cxy, cxz = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
        det = xx * cxx + xy * cxy + xz * cxz
        mean = (xx + yy + zz) / 3
        solved = False
        if det > 1e-5 * mean * mean * mean:
            cyy, cyz, czz = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
            scale = -1 / det
            x = (cxx * gx + cxy * gy + cxz * gz) * scale
            y = (cxy * gx + cyy * gy + cyz * gz) * scale
            z = (cxz * gx + cyz * gy + czz * gz) * scale
            solved = x * x + y * y + z * z <= 4 * length2
        if not solved:
            # Half the edge's quadratic and linear parts: the ends are cheaper where these outweigh the middle.
            bend = (dx * (xx * dx + 2 * (xy * dy + xz * dz)) + dy * (yy * dy + 2 * yz * dz) + dz * zz * dz) / 4
            slope = gx * dx + gy * dy + gz * dz
            x, y, z = 0.0, 0.0, 0.0
            if bend - abs(slope) < -1e-9 * max(base, 0.0):
                side = -0.5 if slope > 0 else 0.5
                x, y, z = side * dx, side * dy, side * dz
    cost = x * (xx * x + 2 * (xy * y + xz * z + gx)) + y * (yy * y + 2 * (yz * z + gy)) + z * (zz * z + 2 * gz) + base
    cost = max(cost, 0.0)
    return mx + x, my + y, mz + z, cost, weight, cost + _LENGTH_SHARE * length2 * weight


@inner
def fits(v: Any, a: int, b: int, c: int, p: Any) -> Any:
    """Whether face a b c stays sound when corner a moves to p."""
    ux, uy, uz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    wx, wy, wz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
    ex, ey, ez = v[c, 0] - v[b, 0], v[c, 1] - v[b, 1], v[c, 2] - v[b, 2]
    ox, oy, oz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
    edge = ex * ex + ey * ey + ez * ez
    before = ox * ox + oy * oy + oz * oz
    sides = edge + ux * ux + uy * uy + uz * uz + wx * wx + wy * wy + wz * wz
    ux, uy, uz = v[b, 0] - p[0], v[b, 1] - p[1], v[b, 2] - p[2]
    wx, wy, wz = v[c, 0] - p[0], v[c, 1] - p[1], v[c, 2] - p[2]
    nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
    after = nx * nx + ny * ny + nz * nz
    along = ox * nx + oy * ny + oz * nz
    # Squares on both sides: no roots.
    if after <= 0 or (before > 0 and (along <= 0 or along * along < _LEAST_COSINE**2 * before * after)):
        return False
    sum2 = edge + ux * ux + uy * uy + uz * uz + wx * wx + wy * wy + wz * wz
    return after >= _LEAST_COMPACTNESS**2 / 12 * sum2 * sum2 or after * sides * sides >= before * sum2 * sum2
