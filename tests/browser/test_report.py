"""The report in a real browser: it loads nothing, says nothing on the console, and fits its window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ophiolite.report.page import render_page
from report_demo import demo_report, write_figures

from .harness import NeuroglancerBrowser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    path = folder / "report.html"
    path.write_text(render_page(demo_report(folder, write_figures(folder))), encoding="utf-8")
    # The page must do without the files it was made from.
    for figure in folder.glob("*.[ps][nv]g"):
        figure.unlink()
    return path


@pytest.fixture
def window(chromium: Any) -> Any:
    """Sets the size of the window and light or dark; puts both back."""

    def change(width: int, mode: str) -> None:
        size = {"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": width < 600}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"features": [{"name": "prefers-color-scheme", "value": mode}]}
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    yield change
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize(("width", "mode"), [(1280, "light"), (1280, "dark"), (400, "light")])
def test_the_page_stands_alone(browser: NeuroglancerBrowser, window: Any, page: Path, width: int, mode: str) -> None:
    driver = browser.driver
    window(width, mode)
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get(page.as_uri())
    picture = browser.screenshot(f"report_{mode}_{width}")
    assert driver.get_log("browser") == []
    assert (
        driver.execute_script("return performance.getEntriesByType('resource').filter((e) => !/^data:/.test(e.name))")
        == []
    )
    images = "return [...document.images].map((i) => i.complete && i.naturalWidth > 500)"
    assert driver.execute_script(images) == [True] * 3
    # Wide tables scroll within themselves, the page does not.
    assert driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    corner = int(picture[5, 5].mean())
    assert corner > 230 if mode == "light" else corner < 40
    ink = driver.execute_script(
        "return getComputedStyle(document.querySelector('.chart svg text, .chart svg g')).color"
    )
    brightness = np.mean([int(v) for v in ink.removeprefix("rgb(").rstrip(")").split(",")])
    assert brightness < 80 if mode == "light" else brightness > 180
