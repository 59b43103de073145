"""A plate's page on a telephone, in a real browser: nothing sticks out, wide things scroll in their boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imaging.page import PageData, PageFault, PageMetric, PageStatistic, PageWell, write_page
from imaging.store import open_store
from imaging.wells import Well
from tests.imaging.small_page import small_plate

if TYPE_CHECKING:
    from playwright.sync_api import Page


def lines_of(page: Page, selector: str) -> list[str]:
    """The lines into which the text of an element is broken."""
    return page.eval_on_selector(
        selector,
        """element => {
          const lines = new Map();
          const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
          for (let node = walker.nextNode(); node; node = walker.nextNode()) {
            for (let i = 0; i < node.length; i += 1) {
              const range = document.createRange();
              range.setStart(node, i);
              range.setEnd(node, i + 1);
              const top = Math.round(range.getBoundingClientRect().top);
              lines.set(top, (lines.get(top) ?? '') + node.data[i]);
            }
          }
          return [...lines.values()];
        }""",
    )


@pytest.mark.parametrize("width", [360, 420])
@pytest.mark.parametrize("address", ["", "#well=B03", "#view=pictures"])
def test_nothing_is_wider_than_a_telephone(visit: Callable[..., Page], width: int, address: str) -> None:
    page = visit(address)
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    beside = page.evaluate(
        """() => [...document.querySelectorAll('.card')].flatMap(card => {
          const edge = card.getBoundingClientRect().right;
          const parts = [...card.querySelectorAll('button, input, select, h2, .badge, .limits, .legend-title')];
          const free = parts.filter(part => !part.closest('.scroll, .chart, .tray'));
          return free.filter(part => part.getBoundingClientRect().right > edge);
        }).map(part => part.outerHTML)"""
    )
    assert beside == []


def test_on_a_telephone_charts_and_tables_scroll_and_can_be_read(visit: Callable[..., Page], tmp_path: Path) -> None:
    feature = "Cells_Intensity_NucleusCytoplasmRatioOfTheRing_GFP"
    data = replace(
        small_plate()[0],
        pictures=None,
        statistics=(PageStatistic(feature, 0.71, 0.65, 9.5, 2, 2),),
        faults=(PageFault(f"{'long_name_' * 6}40-D-04.tif", "duplicate", "the same image under a second name", "C04"),),
    )
    write_page(open_store(str(tmp_path)), "p", data, {})
    page = visit("", tmp_path / "p")
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    scrolls = "box => box.scrollWidth > box.clientWidth"
    assert all(page.eval_on_selector(box, scrolls) for box in ("#chart", "#statistics", "#faults"))
    height = "texts => Math.min(...texts.map(text => text.getBoundingClientRect().height))"
    assert page.eval_on_selector_all("#chart text", height) >= 11
    for place in ("#statistics tbody th", "#panel .glance-statistics .muted"):
        lines = lines_of(page, place)
        assert "".join(lines) == feature
        assert len(lines) > 1
        assert all(line.endswith("_") for line in lines[:-1]), place
    assert all(line.endswith(("_", "-", ".tif")) for line in lines_of(page, "#faults code"))


def test_the_left_columns_of_a_wide_plate_can_be_scrolled_to(visit: Callable[..., Page], tmp_path: Path) -> None:
    wells = tuple(PageWell(str(Well(row, column)), values={"n": 1}) for row in range(16) for column in range(1, 49))
    data = PageData("e", "p", "r", "x", "complete", 32, 48, metrics=(PageMetric("n", "n"),), wells=wells)
    write_page(open_store(str(tmp_path)), "p", data, {})
    page = visit("", tmp_path / "p")
    page.set_viewport_size({"width": 360, "height": 800})
    page.eval_on_selector(".tray", "tray => tray.scrollLeft = 0")
    sides = [page.eval_on_selector(part, "part => part.getBoundingClientRect().left") for part in (".tray", "#plate")]
    assert sides[1] >= sides[0]
