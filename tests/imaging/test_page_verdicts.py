"""Verdicts and reasons on a plate's page, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imaging.page import write_page
from imaging.store import open_store
from tests.imaging.small_page import BLURRED, HOSTILE, colours, small_plate, well

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_the_head_lists_the_plates_reasons_and_unfolds_the_rest(visit: Callable[..., Page]) -> None:
    page = visit()
    assert page.inner_text("#reasons").split("\n") == ["one well failed", HOSTILE, "third", "2 more"]
    assert page.evaluate("document.body.style.getPropertyValue('--reasons')") != "0px"
    page.click("#reasons summary")
    assert page.inner_text("#reasons").split("\n")[-2:] == ["fourth", "fifth"]


def test_wells_can_be_coloured_by_their_verdicts(visit: Callable[..., Page]) -> None:
    page = visit()
    numbers = colours(page)
    page.select_option("#metric", label="Verdict")
    found = dict(
        zip(["B02", "B03", "B04", "B05", "B08", "C02", "C03", "C04", "C05", "C08"], colours(page), strict=True)
    )
    assert found["B03"] == found["C08"] == "rgb(157, 27, 38)"
    assert found["B04"] == "rgb(242, 167, 46)"
    assert found["B05"] == "rgb(207, 230, 216)"
    assert found["B02"] == "rgba(0, 0, 0, 0)"  # nobody judged it
    assert page.inner_text("#legend .verdict-legend").split("\n") == [
        *("✓", "pass: 6 wells"),
        *("!", "warning: 1 well"),
        *("✕", "fail: 2 wells"),
    ]
    assert well(page, "B04").get_attribute("aria-label") == "B04, wortmannin 1 µM, Verdict warning"
    assert well(page, "B04").get_attribute("data-value") == "!"
    strip = page.locator('.strip[data-name="row B"]')
    assert strip.get_attribute("title") == "Worst of row B: fail"
    assert page.is_disabled("#scale-z")
    assert page.is_hidden("#chart-card")
    well(page, "B04").click()
    assert page.inner_text("#panel .metric-place").split("\n") == ["Verdict", "warning", "like 1 of 9 wells"]
    page.click("#metric-next")
    assert page.is_visible("#chart-card")
    assert colours(page) == numbers


def test_an_image_shows_its_own_verdict_and_reasons(visit: Callable[..., Page]) -> None:
    page = visit("#well=B03")
    site = page.inner_text(".large-picture figcaption")
    assert HOSTILE in site
    page.click("#panel summary >> text=Images of site 1")
    assert page.inner_text("#panel .image-reasons").split("\n") == ["DNA", "✕", "fail", BLURRED]
    assert page.get_attribute('[aria-label="Site 1, DNA, fail"]', "title") == BLURRED
    page.click('[aria-label="Site 1, DNA, fail"]')
    caption = page.inner_text(".large-picture figcaption")
    assert BLURRED in caption
    assert HOSTILE not in caption
    page.click('[aria-label="Site 1, ER"]')
    assert BLURRED not in page.inner_text(".large-picture figcaption")


def test_verdicts_of_a_plate_that_is_being_imaged_are_called_provisional(
    visit: Callable[..., Page], tmp_path: Path
) -> None:
    data, pictures = small_plate()
    write_page(open_store(str(tmp_path)), "p", replace(data, status="imaging"), pictures.files)
    page = visit("#well=B03", tmp_path / "p")
    assert page.inner_text("#standing").split("\n")[:2] == ["!", "provisional warning"]
    assert page.inner_text("#panel .badges").split("\n") == ["✕", "provisional fail"]
    assert "provisional warning" in page.inner_text("#marks")
    assert (well(page, "B04").get_attribute("aria-label") or "").endswith("provisional warning")
    page.keyboard.press("Escape")
    assert "Wells to look at so far (3)" in page.inner_text("#panel")
    page.select_option("#metric", label="Verdict (provisional)")
    assert "provisional fail: 2 wells" in page.inner_text("#legend")
    assert "provisional" not in visit().inner_text("body")
