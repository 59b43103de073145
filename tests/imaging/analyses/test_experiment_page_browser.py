"""The page of an experiment in a real browser, opened as a file: what a scientist sees, clicks and types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from imaging.analyses.board import Entry, compare
from imaging.analyses.board_page import board_page
from imaging.analyses.gallery import HitGallery
from imaging.analyses.page import link_plates, write_report
from imaging.analyses.report import ExperimentReport, rank_hits
from imaging.analysis_tables import SCORES
from imaging.page import write_page
from imaging.store import open_store
from imaging.table_schema import INTEGER
from tests.imaging.small_experiment import (
    HOSTILE,
    PLATES,
    RECIPE,
    hits,
    large_report,
    points,
    small_gallery,
    small_report,
)
from tests.imaging.small_page import empty_page, focused, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OPEN = "#treatment=nocodazole&concentration=10"
EXPERIMENT = "dose response 2026"


def write(root: Path, report: ExperimentReport, gallery: HitGallery | None = None) -> Path:
    key = write_report(open_store(str(root)), report, gallery)
    return (root / key).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up experiment, and one of its plates with its page."""
    root = tmp_path_factory.mktemp("experiment")
    store = open_store(str(root))
    plate = f"results/{EXPERIMENT}/{PLATES[0]}/{RECIPE}/page/"
    write_page(store, plate, empty_page(plate=PLATES[0]), {})
    link_plates(store, [plate])
    return write(root, small_report(), small_gallery())


def names(page: Page) -> list[str]:
    return page.locator("#treatments .treatment-name").all_inner_texts()


def test_the_head_says_what_the_experiment_came_to(visit: Callable[..., Page]) -> None:
    page = visit()
    assert page.title() == f"{EXPERIMENT} · experiment"
    assert page.inner_text("#experiment-name") == EXPERIMENT
    assert "57 of 181" in page.inner_text("#counts").replace("\n", " ")
    assert page.inner_text("#standing").split("\n") == ["!", "warning"]
    assert "control wells of BR001175" in page.inner_text("#reasons")
    assert "standard-3fa9c2d4" in page.inner_text("#provenance")
    assert page.inner_text("#notes") == "412 of 1,838 features were selected."


def test_the_best_hits_come_first_with_curves_and_numbers(visit: Callable[..., Page]) -> None:
    page = visit()
    assert names(page) == list(rank_hits(hits())["treatment"][:40])
    first = page.locator("#treatments tbody tr").first
    assert first.locator(".unseen").inner_text() == "hit"
    assert "EC50" in (first.locator("svg").get_attribute("aria-label") or "")
    assert "activity, distance" in first.inner_text()
    assert page.inner_text("#page-place") == "1 – 40 of 181"


def test_heads_sort_and_rows_without_a_value_come_last(visit: Callable[..., Page]) -> None:
    page = visit()
    head = page.locator("th[data-column=viability]")
    page.click("th[data-column=viability] button")
    assert head.get_attribute("aria-sort") == "descending"
    page.click("th[data-column=viability] button")
    assert head.get_attribute("aria-sort") == "ascending"
    table = hits()
    assert names(page)[0] == table.loc[table["viability"].idxmin(), "treatment"]
    page.click("#page-last")
    assert names(page)[-1] == "compound 99"  # has no number at all
    page.click("th[data-column=viability] button")
    assert head.get_attribute("aria-sort") == "none"


def test_words_and_kinds_filter_the_table(visit: Callable[..., Page]) -> None:
    page = visit()
    page.fill("#find", "proteasome 3")
    assert set(names(page)) == {"MG-132", "bortezomib", "lactacystin"}
    page.fill("#find", "")
    page.click("#kinds [data-kind=open]")
    assert names(page) == ["compound 99"]
    assert page.inner_text("#shown") == "1 of 181 treatments"
    page.fill("#find", "nobody")
    assert page.inner_text("#treatments") == "No treatment is like that."


def test_keys_find_filter_walk_and_close(visit: Callable[..., Page]) -> None:
    page = visit()
    page.keyboard.press("h")
    assert page.inner_text("#shown") == "57 of 181 treatments"
    page.keyboard.press("n")
    assert page.inner_text("#page-place") == "41 – 57 of 57"
    page.keyboard.press("p")
    page.keyboard.press("j")
    first = rank_hits(hits())["treatment"][0]
    assert page.inner_text("#treatment-name").startswith(first)
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.inner_text("#treatment-name").startswith(first)
    assert page.evaluate("document.activeElement.textContent") == first
    page.keyboard.press("Escape")
    assert page.locator("#treatment-name").count() == 0
    page.keyboard.press("/")
    page.keyboard.type("hjk")
    assert page.input_value("#find") == "hjk"
    page.keyboard.press("Escape")
    assert page.input_value("#find") == ""


def test_an_open_treatment_shows_criteria_curves_pictures_and_wells(visit: Callable[..., Page]) -> None:
    best = rank_hits(hits()).iloc[0]
    page = visit(f"#treatment={best['treatment']}&concentration={best['concentration']:g}")
    panel = page.locator("#panel")
    assert page.locator(".criteria [data-met=true]").count() == 2
    assert panel.locator(".curve-figure").count() == 2
    assert "EC50" in panel.locator(".curve-figure figcaption").first.inner_text()
    wait_until(page, "[...document.querySelectorAll('#panel img')].every(image => image.naturalWidth > 0)")
    assert panel.locator(".tile").count() == 3
    assert panel.locator(".tile img").first.get_attribute("alt")
    link = panel.locator(".wells a").first.get_attribute("href") or ""
    assert link.startswith("../../../BR00117")
    assert "#well=" in link


def test_the_address_brings_back_what_was_looked_at(visit: Callable[..., Page]) -> None:
    page = visit(f"{OPEN}&kind=hits")
    assert page.inner_text("#treatment-name") == "nocodazole 10 µM"
    assert page.locator("#treatments tr[aria-current=true]").count() == 1
    page.click('#panel [aria-label="Next treatment"]')
    assert "treatment=" in page.url
    assert "nocodazole&concentration=10&" not in page.url
    page.evaluate("location.hash = '#treatment=PP-2&concentration=3'")
    wait_until(page, "document.querySelector('#treatment-name').textContent === 'PP-2 3 µM'")
    page.click('#panel [aria-label="Close"]')
    assert "treatment" not in page.url
    assert page.evaluate("document.activeElement.textContent") == "PP-2"


def test_hits_stand_beside_controls_in_the_same_contrast(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator("#gallery").scroll_into_view_if_needed()
    wait_until(page, "document.querySelector('#gallery img').naturalWidth > 0")
    entries = page.locator("#gallery .gallery-hit")
    assert entries.count() == 12
    kinds = entries.first.locator(".tile").evaluate_all("tiles => tiles.map(tile => tile.dataset.kind)")
    assert kinds == ["hit", "negcon", "negcon"]
    assert "negative control" in (entries.first.locator("[data-kind=negcon] img").first.get_attribute("alt") or "")
    page.click("#gallery >> text=Show 12 more")
    assert entries.count() == 24
    entries.nth(2).locator("button").click()
    assert page.inner_text("#treatment-name").startswith(entries.nth(2).locator("button").inner_text())


def test_the_map_says_what_it_shows_and_a_click_opens_a_treatment(visit: Callable[..., Page]) -> None:
    page = visit()
    canvas = page.locator(".map-canvas")
    canvas.scroll_into_view_if_needed()
    assert "Map of 848 profiles" in (canvas.get_attribute("aria-label") or "")
    assert page.locator(".map-legend li").all_inner_texts()[0].startswith("treated")
    page.select_option("#map-colour", "batch")
    assert [text.split(" ")[0] for text in page.locator(".map-legend li").all_inner_texts()] == ["week", "week"]
    box = canvas.bounding_box()
    assert box
    for x in range(20, int(box["width"]), 7):
        canvas.hover(position={"x": x, "y": box["height"] / 2})
        if page.locator("#tip").is_visible() and "treated" in page.inner_text("#tip"):
            canvas.click(position={"x": x, "y": box["height"] / 2})
            break
    assert "is marked" in (canvas.get_attribute("aria-label") or "")


def test_a_control_chart_marks_what_is_out_of_its_limits(visit: Callable[..., Page]) -> None:
    page = visit()
    assert page.locator("#chart circle").count() == 7
    assert page.locator("#chart .signal").count() == 1
    assert "one point beyond three standard deviations" in page.inner_text("#chart .signals")
    label = page.get_attribute("#chart svg", "aria-label")
    assert label == "FocusScore DNA of the control wells of 8 plates in the order of acquisition, 1 out of limits"
    page.select_option("#chart-feature", "Cells_Count")
    assert "Cells_Count" in (page.get_attribute("#chart svg", "aria-label") or "")


def test_methods_variance_recipes_and_failures_are_side_by_side(visit: Callable[..., Page]) -> None:
    page = visit()
    assert "the recipe's" in page.inner_text("#methods tr[data-counts=true]")
    assert page.locator("#methods tbody tr").count() == 5
    assert "batch" in (page.get_attribute("#variance [role=img]", "aria-label") or "")
    page.click("#variance >> text=Show 28 more features")
    assert page.locator("#variance tbody tr").count() == 41
    assert "PP-2 1 µM, lactacystin 0.3 µM" in page.inner_text("#leaderboard")
    page.select_option("#failure-level", "site")
    assert page.locator("#failures tbody tr").count() == 1
    assert "B11 site 3" in page.inner_text("#failures")
    page.select_option("#failure-level", "row")
    assert "kept by Ada: known and harmless" in page.inner_text("#failures")


def test_badges_in_tables_are_as_wide_as_their_words(visit: Callable[..., Page]) -> None:
    page = visit()
    for place in ("#methods", "#leaderboard"):
        badge = page.locator(f"{place} .badge").bounding_box()
        assert badge
        assert badge["width"] < 90, place
        assert badge["height"] < 24, place


def test_a_table_without_dose_curves_has_no_column_of_them(visit: Callable[..., Page], tmp_path: Path) -> None:
    assert "Dose curve" in visit().inner_text("#treatments thead")
    empty = pd.DataFrame({"treatment": ["PP-2"], "feature": ["f"], "concentration": [1.0], "value": [None]})
    for number, found in enumerate((pd.DataFrame(), empty)):
        page = visit("", write(tmp_path / str(number), small_report(doses=found)))
        assert "Dose curve" not in page.inner_text("#treatments thead")
        assert page.locator("#treatments .spark-cell").count() == 0
        assert page.locator("#feature").is_hidden()
        cells = "rows => [...new Set(rows.map(row => row.children.length))]"
        assert len(page.eval_on_selector_all("#treatments tr", cells)) == 1


def test_positive_controls_are_marked_and_are_no_strongest_hits(visit: Callable[..., Page], tmp_path: Path) -> None:
    best, second = rank_hits(hits()).drop_duplicates("treatment").iloc[:2].to_dict("records")
    placed = points()
    is_best = (placed["treatment"] == best["treatment"]) & (placed["concentration"] == best["concentration"])
    placed.loc[is_best, "control"] = "poscon"
    shown = rank_hits(hits())
    shown = shown[(shown["treatment"] != best["treatment"]) | (shown["concentration"] == best["concentration"])]
    page = visit("", write(tmp_path, small_report(hits=shown, points=placed), small_gallery()))
    assert page.locator("#treatments .badge.control").all_inner_texts() == ["+ positive control"]
    assert best["treatment"] in page.locator("#treatments tr:has(.badge.control)").inner_text()
    title = page.get_attribute("#treatments .badge.control", "title")
    assert title == f"{is_best.sum()} wells with this treatment are positive controls"
    assert page.locator("#panel .strongest button").all_inner_texts()[0] == second["treatment"]
    assert page.locator("#panel .positives button").all_inner_texts() == [best["treatment"]]
    assert page.locator("#gallery .badge.control").count() == 1
    page.click("#panel .positives button")
    assert "+ positive control" in page.inner_text("#panel .badges")


def test_heads_say_of_which_criterion_q_is_and_what_replicates(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit()
    q = "#treatments th[data-column=q] button"
    assert "criterion activity: mAP against the negative controls" in (page.get_attribute(q, "title") or "")
    head = page.locator("#leaderboard th >> text=Percent replicating").get_attribute("title") or ""
    assert "95th percentile" in head
    assert "46 %" in page.inner_text("#leaderboard tbody tr >> nth=0")
    page = visit("", write(tmp_path, small_report(criteria={"viability": "loss of cells", "distance": "far away"})))
    assert (page.get_attribute(q, "title") or "").endswith("by the criterion distance: far away")


def test_the_leaderboard_fits_a_window_and_says_what_its_columns_are(browser: Browser, tmp_path: Path) -> None:
    scores = {column.name: 9216 if column.kind == INTEGER else 0.123 for column in SCORES}
    entries = [Entry("standard-3864bbf4", scores), Entry("harmony-0123abcd", scores), Entry("tvn-1", reason="r " * 200)]
    (tmp_path / "board.html").write_text(board_page("e", compare(entries)))
    for width in (360, 1280):
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto((tmp_path / "board.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        is_cut = page.eval_on_selector(".wide", "box => box.scrollWidth > box.clientWidth")
        assert is_cut == (width == 360)
        heads = page.locator("thead th").all_inner_texts()[1:]
        assert page.locator("dt").all_inner_texts() == heads
        assert "12.3 %" in page.inner_text("tbody tr >> nth=0")
        assert "95th percentile" in page.inner_text("dl")
        page.close()


def test_plate_and_experiment_lead_to_each_other(visit: Callable[..., Page]) -> None:
    page = visit()
    page.click(f"#plates >> text={PLATES[0]}")
    wait_until(page, f"document.title.startsWith('{PLATES[0]}')")
    page.click("#provenance >> text=experiment")
    wait_until(page, f"document.title === '{EXPERIMENT} · experiment'")


def test_an_empty_experiment_says_in_words_what_is_not_there(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit("", write(tmp_path, ExperimentReport("empty")))
    said = page.inner_text("body")
    for words in (
        "No treatment was analysed",
        "There is no hit to show",
        "There is no profile to place",
        "it needs negative controls on two plates",
        "No way of correcting was measured",
        "The variance was not shared out",
        "No plate of this experiment is published",
        "No process failure was found",
        "One recipe was analysed",
    ):
        assert words in said
    page.keyboard.press("j")
    page.keyboard.press("h")
    page.keyboard.press("n")


def test_hostile_texts_are_only_texts(visit: Callable[..., Page], tmp_path: Path) -> None:
    bad = pd.DataFrame({"treatment": [HOSTILE], "mechanism": [HOSTILE], "is_hit": [True], "reason": [HOSTILE]})
    plates = pd.DataFrame({"plate": [HOSTILE], "page": ["javascript:window.hacked=3"], "verdict": ["pass"]})
    failures = pd.DataFrame({"plate": [HOSTILE], "rule": [HOSTILE], "level": [HOSTILE], "evidence": [HOSTILE]})
    report = ExperimentReport("empty", reasons=(HOSTILE,), notes=(HOSTILE,), hits=bad, plates=plates, failures=failures)
    page = visit("", write(tmp_path, report))
    page.keyboard.press("j")
    for place in ("#panel", "#treatments", "#reasons", "#notes", "#plates", "#failures"):
        assert HOSTILE in page.inner_text(place)
    assert page.locator("img[onerror], img[src=x], a[href^=javascript]").count() == 0
    assert page.evaluate("window.hacked") is None


def test_a_large_experiment_draws_one_page_of_its_table(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit("", write(tmp_path, large_report()))
    assert page.locator("#treatments tbody tr").count() == 40
    assert page.get_attribute("#treatments", "aria-rowcount") == "2355"
    page.click("#page-last")
    assert page.inner_text("#page-place") == "2,321 – 2,354 of 2,354"
    assert "Map of 9,216 profiles" in (page.get_attribute(".map-canvas", "aria-label") or "")


@pytest.mark.parametrize("width", [390, 700, 1400])
def test_the_page_is_as_wide_as_the_window(browser: Browser, folder: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.goto(f"{(folder / 'index.html').as_uri()}{OPEN}")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("#treatments tbody tr").count() == (15 if width <= 700 else 40)
    page.close()


def test_on_a_narrow_window_the_panel_comes_into_sight(browser: Browser, folder: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto((folder / "index.html").as_uri())
    page.locator("#treatments .treatment-name").first.click()
    top = page.evaluate("document.querySelector('#treatment-name').getBoundingClientRect().top")
    assert 0 <= top < 400
    assert page.evaluate("document.activeElement.id") == "treatment-name"
    page.close()


def test_every_control_has_a_name_that_is_spoken(visit: Callable[..., Page]) -> None:
    page = visit(OPEN)
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, select, input, canvas, svg[role], img')].filter(element => {
          const label = element.labels?.[0]?.textContent;
          return !(element.getAttribute('aria-label') || element.textContent.trim() || label || element.alt);
        }).map((element) => element.outerHTML)"""
    )
    assert unnamed == []
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    page.locator("#sections button").nth(2).click()
    assert page.evaluate("document.activeElement.id") == "map-title"
    assert focused(page) == ""


def test_a_page_without_its_data_says_what_is_missing(browser: Browser, tmp_path: Path) -> None:
    folder = write(tmp_path, ExperimentReport("e"))
    (folder / "data.js").unlink()
    page = browser.new_page()
    page.goto((folder / "index.html").as_uri())
    assert "data.js must lie beside this page" in page.inner_text("body")
    page.close()
