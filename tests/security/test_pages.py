"""Names and texts from files are text on every page: the index, the way in, a plate's page, also a live one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imaging.store import FolderStore
from tests.imaging.small_page import LAUNCH
from tests.parts import require
from tests.security.hostile import ESCAPE, FOLDER, LINK, MARKUP
from tests.security.served import TOKEN, Served, serve

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROWS = [
    {
        "experiment": f"screen {MARKUP}",
        "plate": f"P1 {MARKUP}",
        "recipe": f"v1 {MARKUP}",
        "state": MARKUP,
        "problem": MARKUP,
        "refusal": MARKUP,
        "suspicions": [MARKUP, LINK, ESCAPE],
        "shown_instead": MARKUP,
        "page": f"results/screen/P1/{MARKUP}/page/index.html",
        "status": "complete",
        "images_expected": 8,
        "images_arrived": 7,
        "sites_expected": 4,
        "sites_done": 3,
        "files_unknown": 1,
    }
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = require("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(LAUNCH))
        yield launched
        launched.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[[str], Page]]:
    """Open an address; at the end no script of the plate's may have run, and no other host been asked."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def open_page(address: str) -> Page:
        page.goto(address, wait_until="networkidle")
        return page

    yield open_page
    assert page.evaluate("window.hacked ?? null") is None
    assert page.locator("img[src=x], img[src*=evil], script:not([src])").count() == 0
    context.close()
    assert [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:"))] == []


@pytest.fixture(scope="module")
def served(hostile: Path) -> Iterator[Served]:
    with serve(FolderStore(hostile)) as served:
        yield served


def test_the_index_shows_hostile_names_as_text(visit: Callable[[str], Page], hostile: Path) -> None:
    with serve(FolderStore(hostile), status=lambda: ROWS) as served:
        page = visit(served.url)
        page.wait_for_selector("#plates tr")
        text = page.inner_text("#plates")
        assert text.count(MARKUP) >= 7
        assert page.locator("#plates script, #plates img").count() == 0


def test_the_index_shows_the_plates_of_the_store(visit: Callable[[str], Page], served: Served) -> None:
    page = visit(served.url)
    page.wait_for_selector("#plates tr")
    rows = [row.inner_text() for row in page.locator("#plates tr").all()]
    (fault,) = [row for row in rows if "at fault" in row]
    (plate,) = [row for row in rows if "published" in row]
    assert FOLDER in fault
    assert "rename the folder" in fault
    assert "8 of 8" in plate
    assert "4 of 4" in plate
    assert "1 file is no image of the plate." in plate
    page.fill("#find", "nothing like it")
    assert page.inner_text("#none") == "No plate is like that."
    page.fill("#find", "p1")
    page.click("text=page")
    page.wait_for_selector("#plate .well")
    assert page.inner_text("#plate-name") == "P1"


def test_a_plates_page_shows_hostile_texts_as_text(visit: Callable[[str], Page], served: Served, hostile: Path) -> None:
    (folder,) = hostile.glob("results/screen/P1/*/page")
    page = visit(f"{served.url}/{folder.relative_to(hostile)}/")
    page.wait_for_selector("#plate .well")
    assert MARKUP in page.content() or "&lt;script&gt;" in page.content()
    page.locator('#plate .well[aria-label^="B01,"]').click()
    assert MARKUP in page.inner_text("body")
    assert MARKUP.replace("/", "") in page.inner_text("#faults")


def test_a_live_page_shows_hostile_texts_as_text(visit: Callable[[str], Page], tmp_path: Path) -> None:
    from dataclasses import replace

    from imaging.page import encode_data, encode_live, write_index, write_scripts
    from tests.imaging.small_page import HOSTILE, small_plate

    data, pictures = small_plate()
    store, folder = FolderStore(tmp_path), "results/E1/P1/v1/page/"
    live = replace(data, status="imaging", notice=HOSTILE, note=HOSTILE, recipe=HOSTILE, run="", updated_at=1)
    for name, picture in pictures.files.items():
        store.write(f"{folder}{name}", picture)
    write_scripts(store, folder)
    store.write(f"{folder}data.js", encode_data(None))
    store.write(f"{folder}live.js", encode_live(live))
    write_index(store, folder)
    with serve(store) as served:
        page = visit(f"{served.url}/{folder}")
        page.wait_for_selector("#plate .well")
        assert HOSTILE in page.inner_text("#notice")


def test_a_browser_is_let_in_by_the_form_and_out_again(visit: Callable[[str], Page], hostile: Path) -> None:
    with serve(FolderStore(hostile), token=TOKEN, status=lambda: ROWS) as served:
        page = visit(f"{served.url}/?x={MARKUP}")
        assert page.title() == "Log in · Platestream"
        page.fill("#token", "wrong")
        page.click("text=Show plates")
        assert page.inner_text("[role=alert]") == "This is not the token."
        page.fill("#token", TOKEN)
        page.click("text=Show plates")
        page.wait_for_selector("#plates tr")
        assert TOKEN not in page.url
        with page.expect_navigation():
            page.click("text=Log out")
        page.goto(served.url)
        assert page.title() == "Log in · Platestream"


def test_without_scripts_the_index_says_where_else_to_look(browser: Browser, served: Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served.url)
    assert "ask /status.json or `platestream status`" in page.inner_text("body")
    context.close()
