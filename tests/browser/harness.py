"""The real Neuroglancer client in a real browser, and what it says about the layers it was given."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophiolite.report.server import CLIENT_PAGE, ResultsServer
from ophiolite.report.viewer_state import viewer_link

ARTEFACTS = Path(__file__).resolve().parent.parent / "artefacts"
WINDOW_PX = (1400, 1000)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--window-size={WINDOW_PX[0]},{WINDOW_PX[1]}",
)
# Words by which the client tells of trouble on its console, at the level "info" as often as not.
TROUBLE = re.compile(r"Error|Failed|failed|Uncaught|Invalid|not supported|TypeError")
NOISE = re.compile(r"favicon\.ico|GPU stall|GL Driver Message")

STATISTICS = """
const done = arguments[arguments.length - 1];
viewer.chunkQueueManager.getStatistics().then((all) => {
  const kinds = {};
  for (const [source, numbers] of all) {
    const kind = kinds[source.RPC_TYPE_ID] ??= {gpu: 0, failed: 0, pending: 0};
    // 8 states, 3 tiers, 3 numbers each, of which the first is the count of chunks.
    const count = (state) => [0, 1, 2].reduce((sum, tier) => sum + numbers[(state * 3 + tier) * 3], 0);
    kind.gpu += count(0);
    kind.failed += count(6);
    kind.pending += [2, 3, 4, 5].reduce((sum, state) => sum + count(state), 0);
  }
  done(kinds);
});
"""
DATA_ERRORS = """
const managed = viewer.layerManager.managedLayers;
const dropped = arguments[0].filter((name) => !managed.some((m) => m.name === name));
return [
  ...dropped.map((name) => `${name}: the client dropped this layer`),
  ...managed.flatMap((m) => (m.layer?.dataSources ?? [{}])
    .filter((source) => source.loadState === undefined || source.loadState.error !== undefined)
    .map((source) => `${m.name}: ${source.loadState?.error?.message ?? "still loading"}`)),
  // A message that asks to be dismissed is an error.
  ...[...document.querySelectorAll("#neuroglancer-status-container li:has(button)")].map((e) => e.textContent),
];
"""
# The client's own decoders fill the chunk; every voxel of a box is read from it. Labels come as decimal strings.
VOXELS = """
const [name, scale, start, size, channels, done] = arguments;
(async () => {
  const managed = viewer.layerManager.managedLayers.find((m) => m.name === name);
  const render = managed.layer.renderLayers.find((r) => r.multiscaleSource !== undefined);
  const rank = render.multiscaleSource.rank;
  const sources = render.multiscaleSource.getSources({
    displayRank: 3, multiscaleToViewTransform: new Float32Array(3 * rank), modelChannelDimensionIndices: [],
  });
  const source = sources[0][scale].chunkSource;
  const chunkSize = source.spec.chunkDataSize;
  const values = [];
  const low = start.map((s, i) => s - source.spec.baseVoxelOffset[i]);
  for (let c = 0; c < channels; ++c)
    for (let z = low[2]; z < low[2] + size[2]; ++z)
      for (let y = low[1]; y < low[1] + size[1]; ++y)
        for (let x = low[0]; x < low[0] + size[0]; ++x) {
          const voxel = [x, y, z, c].slice(0, rank);
          const cell = Float32Array.from(voxel, (v, i) => Math.floor(v / chunkSize[i]));
          const within = Uint32Array.from(voxel, (v, i) => v - cell[i] * chunkSize[i]);
          values.push(String(await source.fetchChunk(cell, (chunk) => chunk.getValueAt(within), {})));
        }
  return {values};
})().catch((error) => ({error: String(error)})).then(done);
"""


@dataclass(frozen=True)
class ChunkCounts:
    """Chunks of one kind of source: on the GPU, failed, and still on their way."""

    gpu: int
    failed: int
    pending: int


@dataclass(frozen=True)
class LoadReport:
    """What the client says after it was given a state.

    chunks : by kind of source, e.g. "precomputed/VolumeChunkSource".
    """

    ready: bool
    seconds: float
    chunks: Mapping[str, ChunkCounts] = field(default_factory=dict)
    data_errors: tuple[str, ...] = ()
    console: tuple[str, ...] = ()

    @property
    def failed(self) -> dict[str, int]:
        """Kinds of source with failed chunks, and how many."""
        return {kind: counts.failed for kind, counts in self.chunks.items() if counts.failed}

    def check(self) -> None:
        """Raise AssertionError unless everything that is visible has loaded without a complaint."""
        assert self.ready, f"the viewer was not ready after {self.seconds:.0f} s: {self}"
        assert not self.failed, self
        assert not self.data_errors, self
        assert not self.console, self


class NeuroglancerBrowser:
    """A headless Chromium with the client of the `neuroglancer` wheel, served by our own server."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def load_layers(self, state: Mapping[str, Any], base: str, limit_s: float = 60) -> LoadReport:
        """Open `state` with the client served at `base`, wait until it is ready, report what loaded."""
        begin = time.monotonic()
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get(viewer_link(state, base + CLIENT_PAGE))
        ready = self._wait(len(state["layers"]), begin + limit_s)
        self.driver.set_script_timeout(30)
        return LoadReport(
            ready=ready,
            seconds=time.monotonic() - begin,
            chunks={kind: ChunkCounts(**c) for kind, c in self.driver.execute_async_script(STATISTICS).items()},
            data_errors=tuple(self.driver.execute_script(DATA_ERRORS, [layer["name"] for layer in state["layers"]])),
            console=self.console(),
        )

    def _wait(self, layers: int, deadline: float) -> bool:
        """Whether every layer has arrived and the viewer has been ready three times in a row, before the deadline."""
        arrived = f"return window.viewer !== undefined && viewer.layerManager.managedLayers.length === {layers}"
        in_a_row = 0
        while time.monotonic() < deadline:
            ready = self.driver.execute_script(arrived) and self.driver.execute_script("return viewer.isReady()")
            in_a_row = in_a_row + 1 if ready else 0
            if in_a_row == 3:
                return True
            time.sleep(0.3)
        return False

    def console(self) -> tuple[str, ...]:
        """Complaints on the console since the last call."""
        lines = [entry["message"] for entry in self.driver.get_log("browser")]
        return tuple(line for line in lines if TROUBLE.search(line) and not NOISE.search(line))

    def voxels(
        self, layer: str, scale: int, start_vx: Sequence[int], size_vx: Sequence[int], dtype: str, channels: int = 1
    ) -> NDArray[Any]:
        """Voxels of a box of one scale, (x, y, z, c), as the client's own decoders made them."""
        self.driver.set_script_timeout(60)
        answer = self.driver.execute_async_script(VOXELS, layer, scale, list(start_vx), list(size_vx), channels)
        if "error" in answer:
            raise AssertionError(f"layer {layer}, scale {scale}: {answer['error']}")
        number = float if np.issubdtype(dtype, np.floating) else int
        flat = np.array([number(text) for text in answer["values"]], dtype=dtype)
        return flat.reshape((*size_vx, channels), order="F")

    def screenshot(self, name: str) -> NDArray[np.uint8]:
        """Keep what the browser shows as `tests/artefacts/<name>.png`; returns it, (y, x, 3)."""
        from PIL import Image

        ARTEFACTS.mkdir(exist_ok=True)
        path = ARTEFACTS / f"{name}.png"
        path.write_bytes(self.driver.get_screenshot_as_png())
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))


def missing_tool() -> str | None:
    """Why no browser test can run here, or None."""
    absent = [tool for tool in ("chromium", "chromedriver") if shutil.which(tool) is None]
    if absent:
        return f"{' and '.join(absent)} not found (Debian: apt-get install chromium chromium-driver)"
    return None


@contextmanager
def headless_chromium(profile: Path) -> Iterator[Any]:
    """A selenium driver of a fresh headless Chromium with software WebGL 2; `profile` is its new, empty user folder."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        yield driver
    finally:
        driver.quit()


def serve(folder: Path) -> ResultsServer:
    """A server of a folder of layers, for use in a `with` statement."""
    return ResultsServer(folder, lambda base: base + CLIENT_PAGE)
