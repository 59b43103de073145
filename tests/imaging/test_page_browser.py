"""A plate's page in a real browser, opened as a file: what a lab person sees, clicks and types.

Drives the system's Chromium through Playwright; what is skipped where there is none: tests/parts.py.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from imaging.page import (
    PageData,
    PageMetric,
    PageWell,
    write_page,
)
from imaging.store import open_store
from imaging.wells import Well

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

from tests.imaging.small_page import CHANNELS, HOSTILE, colours, focused, grey_of, small_plate, wait_until, well


def test_the_heat_map_has_a_labelled_button_for_every_well(visit: Callable[..., Page]) -> None:
    page = visit()
    assert page.title() == "P1 · dose response"
    labels = page.eval_on_selector_all("#plate button", "wells => wells.map(well => well.getAttribute('aria-label'))")
    assert len(labels) == 10
    assert labels[0] == "B02, DMSO, negative control, Cells count 180"
    assert labels[2] == "B04, wortmannin 1 µM, Cells count 182, warning"
    assert labels[9] == "C08, Cells count no value, missing, fail"
    assert page.inner_text("#standing").split("\n") == ["!", "warning", "with missing images"]
    assert "19 of 20" in page.inner_text("#counts")
    assert page.inner_text("#note") == "The rest is for SQL."


def test_wells_have_the_colours_of_their_values(visit: Callable[..., Page]) -> None:
    found = colours(visit())
    assert found[0] == "rgb(68, 1, 84)"  # lowest: the scale's dark end
    assert found[8] == "rgb(253, 231, 37)"  # highest: its bright end
    assert found[9] == "rgba(0, 0, 0, 0)"  # no value: hatched
    assert len(set(found)) == 9  # B03 and C04 have the same count


def test_another_metric_changes_colours_labels_and_address(visit: Callable[..., Page]) -> None:
    page = visit()
    before = colours(page)
    page.select_option("#metric", label="FocusScore DNA")
    assert colours(page) != before
    assert "FocusScore DNA 1" in (well(page, "B02").get_attribute("aria-label") or "")
    assert page.inner_text("#metric-description") == "higher is sharper"
    assert page.url.endswith("#metric=focus")
    page.click("#metric-previous")
    assert colours(page) == before


def test_metrics_are_grouped_and_filtered(visit: Callable[..., Page]) -> None:
    page = visit()
    groups = "groups => groups.map(group => group.label)"
    assert page.eval_on_selector_all("#metric optgroup", groups) == ["Quality", "Counts", "Image quality DNA"]
    page.fill("#metric-filter", "quality focus")
    assert page.eval_on_selector_all("#metric optgroup", groups) == [
        "Counts",
        "Image quality DNA",
    ]  # the shown one stays
    page.select_option("#metric", label="FocusScore DNA")
    page.fill("#metric-filter", "sharp nothing")
    assert page.eval_on_selector_all("#metric optgroup", groups) == ["Image quality DNA"]


def test_robust_z_is_measured_from_all_wells_when_controls_are_few(visit: Callable[..., Page]) -> None:
    page = visit()
    before = colours(page)
    page.click("#scale-z")
    assert colours(page) != before
    assert "robust z from all wells" in page.inner_text("#legend")
    limits = page.eval_on_selector_all("#legend input", "inputs => inputs.map(input => input.valueAsNumber)")
    assert limits == [-3, 3]


def test_colour_limits_can_be_typed_and_given_back(visit: Callable[..., Page]) -> None:
    page = visit()
    before = colours(page)
    page.fill('#legend [aria-label="Upper colour limit"]', "182")
    page.keyboard.press("Enter")
    assert colours(page)[2] == "rgb(253, 231, 37)"
    assert "above" in page.inner_text("#legend")
    page.click("#legend >> text=Robust")
    assert colours(page) == before


def test_arrow_keys_walk_over_the_plate_and_jump_gaps(visit: Callable[..., Page]) -> None:
    page = visit()
    well(page, "B05").focus()
    steps = {"ArrowRight": "B08", "ArrowDown": "C08", "ArrowLeft": "C05", "ArrowUp": "B05", "Home": "B02", "End": "B08"}
    for key, name in steps.items():
        page.keyboard.press(key)
        assert focused(page).startswith(f"{name},"), key
    page.keyboard.press("ArrowRight")
    assert focused(page).startswith("B08,")
    page.keyboard.press("Control+End")
    assert focused(page).startswith("C08,")
    assert page.locator('#plate [tabindex="0"]').count() == 1
    assert page.locator("#panel h2").inner_text() == "Plate at a glance"


def test_enter_opens_a_well_arrows_carry_it_along_and_escape_closes(visit: Callable[..., Page]) -> None:
    page = visit()
    well(page, "B04").focus()
    page.keyboard.press("Enter")
    assert page.locator("#panel h2").inner_text() == "B04"
    page.keyboard.press("ArrowDown")
    assert page.locator("#panel h2").inner_text() == "C04"
    assert page.url.endswith("well=C04")
    page.keyboard.press("Escape")
    assert page.locator("#panel h2").inner_text() == "Plate at a glance"
    assert focused(page).startswith("C04,")


def test_an_open_well_shows_its_pictures_verdict_and_values(visit: Callable[..., Page]) -> None:
    page = visit()
    well(page, "B03").click()
    wait_until(page, "[...document.querySelectorAll('#panel img')].every(image => image.naturalWidth > 0)")
    assert page.locator("#panel .site-button").count() == 3
    assert page.locator("#panel .no-picture").all_inner_texts() == ["missing"]
    assert "fail" in page.inner_text("#panel .badges")
    assert re.search(r"Cells count\s+187\s+higher than 6 of 9 wells", page.inner_text("#panel .metric-place"))
    page.click("#panel summary >> text=Images of site 1")
    assert "B03-DNA.tif" in page.inner_text("#panel .files")


@pytest.mark.parametrize(("name", "site", "channel"), [("B02", 1, "DNA"), ("B05", 2, "DNA"), ("C04", 1, "ER")])
def test_a_picture_is_the_tile_of_its_well_site_and_channel(
    visit: Callable[..., Page], name: str, site: int, channel: str
) -> None:
    page = visit(f"#well={name}")
    wait_until(page, "[...document.querySelectorAll('#panel img')].every(image => image.naturalWidth > 0)")
    shot = page.locator(f'#panel [aria-label="Site {site}, {channel}"] .site-picture').screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("L"))
    height, width = pixels.shape
    middle = pixels[height // 4 : -height // 4, width // 4 : -width // 4]
    limits = small_plate()[1].layout.channels[CHANNELS.index(channel)]
    share = (grey_of(name, site, channel) - limits.low) / (limits.high - limits.low)
    assert middle.mean() == pytest.approx(255 * share, abs=4)
    assert middle.std() < 2


def test_a_site_picture_can_be_shown_large(visit: Callable[..., Page]) -> None:
    page = visit("#well=B02")
    large = page.locator(".large-picture [role=img]")
    assert large.get_attribute("aria-label") == "B02 site 1, DNA + ER"
    page.click('[aria-label="Site 2, DNA"]')
    assert large.get_attribute("aria-label") == "B02 site 2, DNA"
    assert focused(page) == "Site 2, DNA"
    page.click('[aria-label="Site 1, all channels"]')
    assert large.get_attribute("aria-label") == "B02 site 1, DNA + ER"


def test_the_atlas_lies_under_the_same_buttons(visit: Callable[..., Page]) -> None:
    page = visit()
    page.click("#view-pictures")
    wait_until(page, "[...document.querySelectorAll('#picture-layer img')].every(image => image.naturalWidth > 0)")
    picture = page.locator("#picture-layer").bounding_box()
    button = well(page, "C04").bounding_box()
    assert picture
    assert button
    assert button["width"] == pytest.approx(picture["width"] / 12, abs=0.5)
    assert button["x"] - picture["x"] == pytest.approx(3 * picture["width"] / 12, abs=0.5)
    assert button["y"] - picture["y"] == pytest.approx(2 * picture["height"] / 8, abs=0.5)
    assert page.url.endswith("view=pictures")


def test_channels_are_shown_together_or_alone(visit: Callable[..., Page]) -> None:
    page = visit("#view=pictures")
    images = page.locator("#picture-layer img")
    assert [images.nth(i).is_visible() for i in range(2)] == [True, True]
    assert images.nth(0).evaluate("image => image.style.filter") == 'url("#colour-0")'
    page.click("text=One channel")
    assert [images.nth(i).is_visible() for i in range(2)] == [True, False]
    assert images.nth(0).evaluate("image => image.style.filter") == 'url("#grey-0")'
    page.click(".chip >> text=ER")
    assert [images.nth(i).is_visible() for i in range(2)] == [False, True]
    page.click("text=Composite")
    page.click(".chip >> text=ER")
    assert [images.nth(i).is_visible() for i in range(2)] == [True, False]


def test_the_contrast_sliders_change_the_filters(visit: Callable[..., Page]) -> None:
    page = visit("#view=pictures")

    def tone() -> list[float]:
        part = page.locator("#colour-0 feFuncR")
        return [float(part.get_attribute(name) or "nan") for name in ("slope", "intercept")]

    assert tone() == [1, 0]
    low, high = (int(page.get_attribute('[data-channel="DNA"][data-end="low"]', name) or 0) for name in ("min", "max"))
    for end, share in (("low", 0.25), ("high", 0.75)):
        value = round(low + share * (high - low))
        page.eval_on_selector(
            f'[data-channel="DNA"][data-end="{end}"]',
            f"slider => {{ slider.value = {value}; slider.dispatchEvent(new Event('input')); }}",
        )
    assert tone() == pytest.approx([2, -0.5], abs=0.05)
    page.click('[aria-label="Reset the contrast of DNA"]')
    assert tone() == [1, 0]


def test_hostile_texts_are_only_texts(visit: Callable[..., Page]) -> None:
    page = visit("#well=B03")
    assert HOSTILE in page.inner_text("#panel")
    assert HOSTILE in page.inner_text("#faults")
    well(page, "B03").hover()
    assert HOSTILE in page.inner_text("#tip")
    assert page.locator("img[onerror], img[src=x]").count() == 0
    assert page.evaluate("window.hacked") is None
    assert page.locator("#provenance a").all_inner_texts() == ["run"]
    assert "script: javascript:" in page.inner_text("#provenance")


def test_the_policy_refuses_to_make_html_of_text(browser: Browser, folder: Path) -> None:
    page = browser.new_page()
    page.goto((folder / "index.html").as_uri())
    outcome = page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; return 'taken'; } catch { return 'refused'; } }"
    )
    page.close()
    assert outcome == "refused"


def test_faults_decisions_and_statistics_are_shown_and_lead_to_their_wells(visit: Callable[..., Page]) -> None:
    page = visit("#metric=focus")
    assert "the file is cut off" in page.inner_text("#faults")
    assert "nothing came" in page.inner_text("#decisions")
    assert "excellent" in page.inner_text("#statistics")
    page.click("#faults >> text=C04")
    assert page.locator("#panel h2").inner_text() == "C04"
    page.click("#statistics >> text=Cells count")
    assert page.url.endswith("#metric=cells_count&well=C04")


def test_without_an_open_well_the_panel_lists_wells_to_look_at(visit: Callable[..., Page]) -> None:
    page = visit()
    assert "against earlier plates: no earlier plate has a value" in page.inner_text("#panel")
    assert page.text_content("#panel .glance-statistics") == "Z′ 0.71✓excellentCells count"
    assert page.locator("#panel .suspects button").all_text_contents() == ["✕B03", "✕C08", "!B04"]
    page.click("#panel .suspects >> text=C08")
    assert page.locator("#panel h2").inner_text() == "C08"


def test_the_address_brings_back_what_was_looked_at(visit: Callable[..., Page]) -> None:
    page = visit("#metric=focus&well=C05&view=pictures")
    assert page.locator("#panel h2").inner_text() == "C05"
    assert page.get_attribute("#view-pictures", "aria-pressed") == "true"
    page.click("#view-heat")
    assert page.eval_on_selector("#metric", "box => box.selectedOptions[0].textContent") == "FocusScore DNA"
    page.evaluate("location.hash = '#metric=cells_count&well=B05'")
    wait_until(page, "document.querySelector('#panel h2').textContent === 'B05'")
    assert page.eval_on_selector("#metric", "box => box.selectedOptions[0].textContent") == "Cells count"


def test_the_chart_shows_the_doses_of_a_treatment_between_its_controls(visit: Callable[..., Page]) -> None:
    page = visit()
    bands = page.eval_on_selector_all("#chart circle", "points => points.map(point => point.dataset.band)")
    assert sorted(bands) == ["dose"] * 5 + ["negcon"] * 2 + ["poscon"]
    x = {
        title: float(place)
        for title, place in page.eval_on_selector_all(
            "#chart circle", "points => points.map(p => [p.textContent, p.getAttribute('cx')])"
        )
    }
    by_dose = [x[title] for title in sorted(t for t in x if t.startswith("C0") and "µM" in t)]
    assert by_dose == sorted(by_dose)
    assert x["C02, DMSO, 185"] < by_dose[0]
    assert x["B08, DMSO, 184"] > by_dose[-1]
    page.click("#chart circle >> nth=0")
    assert page.locator("#panel h2").inner_text() == "B02"


def test_numbers_of_doses_and_logarithms_stand_on_the_axis_as_they_are(
    visit: Callable[..., Page], tmp_path: Path
) -> None:
    for unit, doses in (("index", (0, 1, 2, 9)), ("log10(M)", (-9, -8, -7, 0))):
        wells = tuple(
            PageWell(f"B{2 + place:02d}", "wortmannin", dose, unit, values={"n": place})
            for place, dose in enumerate(doses)
        )
        data = PageData("e", "p", "r", "x", "complete", 8, 12, metrics=(PageMetric("n", "n"),), wells=wells)
        write_page(open_store(str(tmp_path)), unit, data, {})
        page = visit("", tmp_path / unit)
        found = page.eval_on_selector_all("#chart circle", "points => points.map(p => Number(p.getAttribute('cx')))")
        first, last = min(found), max(found)
        places = [(x - first) / (last - first) for x in sorted(found)]
        expected = [(dose - doses[0]) / (doses[-1] - doses[0]) for dose in doses]
        assert places == pytest.approx(expected, abs=0.02)  # points are scattered by 5 pixels
        words = page.eval_on_selector_all("#chart text", "texts => texts.map(text => text.textContent)")
        assert unit in words
        assert not any("logarithmic" in word for word in words)


def test_finding_a_treatment_fades_the_other_wells(visit: Callable[..., Page]) -> None:
    page = visit()
    page.fill("#find", "wortmannin 10")
    assert page.inner_text("#hits") == "2 of 10 wells"
    assert well(page, "B05").evaluate("well => getComputedStyle(well).opacity") == "1"
    assert float(well(page, "B02").evaluate("well => getComputedStyle(well).opacity")) < 0.5
    page.fill("#find", "")
    assert well(page, "B02").evaluate("well => getComputedStyle(well).opacity") == "1"


def test_controls_failures_and_absent_values_are_marked_by_more_than_colour(visit: Callable[..., Page]) -> None:
    page = visit()
    look = "(well, pseudo) => getComputedStyle(well, pseudo)"
    negative = well(page, "B02").evaluate(f"well => ({look})(well, '::before').content")
    positive = well(page, "B08").evaluate(f"well => ({look})(well, '::before').content")
    assert (negative, positive) == ('"−"', '"+"')
    failing, passing = (well(page, name).evaluate(f"well => ({look})(well).backgroundImage") for name in ("B03", "B04"))
    assert failing != passing
    assert "repeating-linear-gradient" in well(page, "C08").evaluate(f"well => ({look})(well).backgroundImage")


def test_a_plate_of_1536_wells_has_a_button_for_each(visit: Callable[..., Page], tmp_path: Path) -> None:
    wells = tuple(
        PageWell(str(Well(row, column)), values={"n": row * column}) for row in range(32) for column in range(1, 49)
    )
    data = PageData("e", "p", "r", "x", "imaging", 32, 48, metrics=(PageMetric("n", "n"),), wells=wells)
    write_page(open_store(str(tmp_path)), "p", data, {})
    page = visit("#well=AF48", tmp_path / "p")
    assert page.locator("#plate button").count() == 1536
    assert page.locator("#panel h2").inner_text() == "AF48"
    assert page.is_disabled("#view-pictures")
    assert "provisional" in page.inner_text("#standing")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_plate_without_wells_or_metrics_still_opens(visit: Callable[..., Page], tmp_path: Path) -> None:
    write_page(open_store(str(tmp_path)), "p", PageData("e", "p", "r", "x", "imaging", 8, 12), {})
    page = visit("", tmp_path / "p")
    assert "No statistics" in page.inner_text("#statistics")
    assert "No file was refused" in page.inner_text("#faults")


def test_a_page_without_its_data_says_what_is_missing(browser: Browser, tmp_path: Path) -> None:
    write_page(open_store(str(tmp_path)), "p", PageData("e", "p", "r", "x", "complete", 8, 12), {})
    (tmp_path / "p" / "data.js").unlink()
    page = browser.new_page()
    page.goto((tmp_path / "p" / "index.html").as_uri())
    assert "data.js must lie beside this page" in page.inner_text("body")
    page.close()
