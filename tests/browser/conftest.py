"""One browser for all browser tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .harness import NeuroglancerBrowser, headless_chromium, missing_tool


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A selenium driver; tests that ask for it skip where Chromium or its driver is absent."""
    reason = missing_tool()
    if reason is not None:
        pytest.skip(reason)
    with headless_chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def browser(chromium: Any) -> NeuroglancerBrowser:
    """The Neuroglancer client in the browser."""
    return NeuroglancerBrowser(chromium)
