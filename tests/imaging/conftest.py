"""Fixtures of this folder.

browser, folder, visit    the system's Chromium, a written page, a function that opens a page
screen                    a store with one published plate that has something of everything
whole, job                folder of a small published plate; a copy of it, to be damaged
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imaging.page import (
    write_page,
)
from imaging.store import Store, open_store
from imaging.suspicions.suspicion import Suspicion
from tests.parts import require

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from imaging.job import PlateJob

from tests.imaging import small_screen
from tests.imaging.small_damage import copy_of, publish_plate
from tests.imaging.small_page import LAUNCH, small_plate


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = require("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(LAUNCH))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    data, pictures = small_plate()
    write_page(open_store(str(root)), "p1", data, pictures.files)
    return root / "p1"


@pytest.fixture
def visit(browser: Browser, folder: Path) -> Iterator[Callable[..., Page]]:
    """Open a page as a file; at the end nothing may have been logged or asked of another host."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: trouble.append(request.url) if not _is_local(request.url) else None)

    def open_page(address: str = "", at: Path = folder) -> Page:
        page.goto(f"{(at / 'index.html').as_uri()}{address}")
        return page

    yield open_page
    context.close()
    assert trouble == []


def _is_local(url: str) -> bool:
    return url.startswith(("file:", "data:"))


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One published plate with an unreadable and a saturated image and a failed site; for reading only."""
    store = open_store(str(tmp_path_factory.mktemp("screen")))
    saturated = small_screen.manifest("A01", 1)
    saturated["image_metrics"][0]["PercentSaturated"] = 2.5
    small_screen.publish(
        store,
        manifests=(saturated, small_screen.manifest("A01", 2, missing=["RNA"]), *small_screen.manifests()[2:-1]),
        failed=({"well": "B03", "site": 2, "reason": "out of memory"},),
        faults=({"kind": "unreadable", "name": "x.tif", "reason": "cut", "well": "A01", "site": 2, "channel": "RNA"},),
        decisions=({"kind": "missing", "well": "A01", "site": 2, "channel": "RNA", "by": "Ada", "reason": "lost"},),
        suspicions=(Suspicion("same images", "P0", "64 of 64 compared images are those of P0", 1.0, 0.25),),
    )
    return store


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a published plate; tests damage copies of it."""
    folder = tmp_path_factory.mktemp("whole")
    publish_plate(folder)
    return folder


@pytest.fixture
def job(whole: Path, tmp_path: Path) -> PlateJob:
    """A copy of it."""
    return copy_of(whole, tmp_path)
