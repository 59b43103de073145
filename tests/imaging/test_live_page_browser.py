"""The page of a plate that is being imaged, in a real browser: what waits, pictures without sheets, refreshing."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from imaging.live_atlas import LiveAtlas
from imaging.page import PageData, PageFact, PageSite, encode_data, encode_live, write_index, write_page, write_scripts
from imaging.page_parts import LINKS, encode_links
from imaging.store import Store, open_store
from tests.imaging.small_page import CHANNELS, colours, focused, grey_of, small_plate, wait_until, well

if TYPE_CHECKING:
    from playwright.sync_api import Page

UPDATED_AT = 1_700_000_000


def live_plate() -> tuple[PageData, dict[str, bytes]]:
    """The small plate while it is imaged: C05 is waited for, the second site of B04 too."""
    data, _ = small_plate()
    wells = list(data.wells)
    waiting = (PageSite(1, "waiting"), PageSite(2, "waiting"))
    names = [item.well for item in wells]
    wells[names.index("C05")] = replace(
        wells[names.index("C05")], state="waiting", verdict=None, values={}, sites=waiting
    )
    b04 = wells[names.index("B04")]
    wells[names.index("B04")] = replace(b04, sites=(b04.sites[0], waiting[1]))
    atlas = LiveAtlas(shape=(8, 12), sites=(1, 2), channels={"DNA": "0000ff", "ER": "00ff00"})
    for item in wells:
        for site in item.sites:
            if site.state == "done":
                pictures = {name: np.full((32, 32), grey_of(item.well, site.site, name), np.uint8) for name in CHANNELS}
                atlas.add(item.well, site.site, pictures)
    pictures = atlas.draw(quality=100)
    page = replace(
        data,
        status="imaging",
        run="",
        updated_at=UPDATED_AT,
        wells=tuple(wells),
        statistics=(),
        pictures=pictures.layout,
    )
    return page, pictures.files


def write_live(store: Store, page: PageData, pictures: dict[str, bytes]) -> None:
    for name, picture in pictures.items():
        store.write(f"p/{name}", picture)
    write_scripts(store, "p/")
    store.create("p/data.js", encode_data(None))
    store.create(f"p/{LINKS}", encode_links(()))
    store.write("p/live.js", encode_live(page))
    write_index(store, "p/")


@pytest.fixture
def live(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path))
    write_live(store, *live_plate())
    return store


@pytest.fixture
def look(visit: Callable[..., Page], live: Store, tmp_path: Path) -> Callable[[str], Page]:
    return lambda address="": visit(address, tmp_path / "p")


@pytest.fixture
def timed(look: Callable[[str], Page]) -> Callable[[str], Page]:
    """Open the page with a clock that the test moves."""

    def open_page(address: str = "") -> Page:
        page = look("")
        page.clock.install()
        page.goto("about:blank")
        return look(address)

    return open_page


def read_again(page: Page, seconds: float) -> None:
    """Move the clock by enough that the page reads itself again, and wait until it did."""
    with page.expect_event("load"):
        page.clock.run_for(round(seconds * 1000))


def stays(page: Page, seconds: float) -> bool:
    """Move the clock; whether the page did not read itself again."""
    loads: list[Page] = []

    def note(loaded: Page) -> None:
        loads.append(loaded)

    page.on("load", note)
    page.clock.run_for(round(seconds * 1000))
    page.wait_for_timeout(400)
    page.wait_for_load_state()
    page.remove_listener("load", note)
    return not loads


def test_a_live_page_says_that_it_is_provisional_and_when_it_was_updated(look: Callable[..., Page]) -> None:
    page = look("")
    time = page.evaluate(f"new Date({UPDATED_AT}000).toTimeString().slice(0, 5)")
    assert f"imaging, provisional, updated {time}" in page.inner_text("#standing")
    assert " ago" in page.inner_text("#standing")
    assert "abc" not in page.inner_text("#provenance")
    assert "they come with the publication" in page.inner_text("#statistics")


def test_a_live_page_shows_costs_beside_the_counts_and_above_all_why_the_plate_does_not_go_on(
    look: Callable[..., Page], live: Store
) -> None:
    assert look("").locator("#notice").is_hidden()
    page, pictures = live_plate()
    costs = (PageFact("Machine time", "2 h 10 min"), PageFact("Cost", "1.20 USD", "of about 4.80 USD"))
    notice = (
        "the plate's budget is used up (1.20 USD of 1.20 USD are spent), no new site is begun; raise "
        "PLATESTREAM_BUDGET_PER_PLATE"
    )
    write_live(live, replace(page, costs=costs, notice=notice), pictures)
    shown = look("")
    assert shown.inner_text("#notice") == notice
    assert shown.locator("#counts div").last.inner_text().split("\n") == ["Cost", "1.20 USD of about 4.80 USD"]
    assert "2 h 10 min" in shown.inner_text("#counts")


def test_wells_that_are_waited_for_look_other_than_those_without_a_value(look: Callable[..., Page]) -> None:
    page = look("")
    assert "1 of 10 wells are waited for" in page.inner_text("#panel")
    assert well(page, "C05").get_attribute("aria-label").endswith("no value, waiting")
    border = "well => [getComputedStyle(well).borderTopStyle, getComputedStyle(well).backgroundImage]"
    waiting, missing = well(page, "C05").evaluate(border), well(page, "C08").evaluate(border)
    assert waiting[0] == "dotted"
    assert "repeating" not in waiting[1]
    assert (missing[0], "repeating" in missing[1]) == ("none", True)
    assert "waited for" in page.inner_text("#marks")


@pytest.mark.parametrize(("name", "site", "channel"), [("B02", 1, "DNA"), ("B05", 2, "DNA"), ("C04", 1, "ER")])
def test_a_picture_is_cut_from_the_overview_while_there_are_no_sheets(
    look: Callable[..., Page], name: str, site: int, channel: str
) -> None:
    page = look(f"#well={name}")
    wait_until(page, "[...document.querySelectorAll('#panel img')].every(image => image.naturalWidth > 0)")
    shot = page.locator(f'#panel [aria-label="Site {site}, {channel}"] .site-picture').screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("L"))
    height, width = pixels.shape
    middle = pixels[height // 4 : -height // 4, width // 4 : -width // 4]
    limits = live_plate()[0].pictures.channels[CHANNELS.index(channel)]
    share = (grey_of(name, site, channel) - limits.low) / (limits.high - limits.low)
    assert middle.mean() == pytest.approx(255 * share, abs=4)
    assert middle.std() < 2
    assert page.locator("#panel .large-picture").count() == 1


def test_a_site_that_is_waited_for_has_no_picture(look: Callable[..., Page]) -> None:
    page = look("#well=C05")
    assert page.locator("#panel .no-picture").all_inner_texts() == ["waiting"] * 4
    assert page.locator("#panel img").count() == 0
    page.goto(page.url.replace("C05", "B04"))
    wait_until(page, "document.querySelector('#panel h2').textContent === 'B04'")
    assert page.locator("#panel .no-picture").all_inner_texts() == ["waiting"] * 2


def test_the_page_reads_itself_again_and_shows_what_is_new(timed: Callable[..., Page], live: Store) -> None:
    page = timed()
    before = colours(page)
    assert stays(page, 14)
    data, pictures = live_plate()
    wells = [replace(item, values={"cells_count": 500 - number}) for number, item in enumerate(data.wells)]
    write_live(live, replace(data, wells=tuple(wells)), pictures)
    read_again(page, 2)
    wait_until(page, "document.querySelector('[aria-label*=\"500\"]') !== null")
    assert colours(page) != before
    assert "500" in (well(page, "B02").get_attribute("aria-label") or "")
    read_again(page, 16)


def test_what_was_looked_at_stays_when_the_page_reads_itself_again(timed: Callable[..., Page]) -> None:
    page = timed("#metric=focus&well=B02&view=pictures")
    page.click("text=One channel")
    page.click(".chip >> text=ER")
    page.click('[aria-label="Site 2, DNA"]')
    page.eval_on_selector(
        '[data-channel="ER"][data-end="low"]',
        "slider => { slider.value = Number(slider.min) + 20; slider.dispatchEvent(new Event('input')); }",
    )
    low = int(page.get_attribute('[data-channel="ER"][data-end="low"]', "min") or 0) + 20
    page.click("#panel summary >> text=Images of site 2")
    page.fill("#find", "wortmannin 10")
    page.focus('[aria-label="Site 2, DNA"]')
    page.evaluate("document.querySelector('#panel').scrollTop = 120")
    page.evaluate("scrollTo(0, 90)")
    scrolls = "[document.querySelector('#panel').scrollTop, scrollY]"
    scrolled = page.evaluate(scrolls)
    assert min(scrolled) > 0
    read_again(page, 20)
    assert page.url.endswith("#metric=focus&well=B02&view=pictures")
    images = page.locator("#picture-layer img")
    assert [images.nth(i).is_visible() for i in range(2)] == [False, True]
    assert page.locator(".large-picture [role=img]").get_attribute("aria-label") == "B02 site 2, DNA"
    assert int(page.input_value('[data-channel="ER"][data-end="low"]')) == low
    assert page.evaluate("document.querySelector('#panel details').open")
    assert (page.input_value("#find"), page.inner_text("#hits")) == ("wortmannin 10", "2 of 10 wells")
    assert focused(page) == "Site 2, DNA"
    assert page.evaluate(scrolls) == scrolled


def test_colours_that_were_chosen_stay_too(timed: Callable[..., Page]) -> None:
    page = timed()
    page.click("#scale-z")
    page.fill('#legend [aria-label="Upper colour limit"]', "1.5")
    page.keyboard.press("Enter")
    before = colours(page)
    read_again(page, 20)
    assert page.get_attribute("#scale-z", "aria-pressed") == "true"
    assert page.input_value('#legend [aria-label="Upper colour limit"]') == "1.5"
    assert colours(page) == before


def test_the_page_is_not_taken_away_from_under_a_hand(timed: Callable[..., Page]) -> None:
    page = timed()
    page.mouse.move(400, 400)
    page.mouse.down()
    assert stays(page, 40)
    page.mouse.up()
    read_again(page, 5)


def test_the_publication_takes_the_place_of_the_live_page_and_stays(timed: Callable[..., Page], live: Store) -> None:
    page = timed("#well=B03")
    data, pictures = small_plate()
    write_page(live, "p", data, pictures.files)
    read_again(page, 20)
    assert "with missing images" in page.inner_text("#standing")
    assert page.locator("#panel h2").inner_text() == "B03"
    assert "sheet-" in (page.locator("#panel .crop img").first.get_attribute("src") or "")
    assert stays(page, 60)


def test_a_live_page_that_is_written_late_does_not_hide_the_publication(look: Callable[..., Page], live: Store) -> None:
    data, pictures = small_plate()
    write_page(live, "p", data, pictures.files)
    write_live(live, *live_plate())
    page = look("")
    assert "with missing images" in page.inner_text("#standing")
    assert page.inner_text("#provenance").startswith("recipe cp-1 · run abc")
