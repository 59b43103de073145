"""A page with one of everything, and words for what a browser test looks at."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from imaging.atlas import PlatePictures, build_pictures
from imaging.page import (
    PageChannel,
    PageCount,
    PageData,
    PageDecision,
    PageFault,
    PageImage,
    PageLink,
    PageMetric,
    PageSite,
    PageStatistic,
    PageWell,
)
from imaging.wells import Well

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = '<img src=x onerror="window.hacked=1"></script><script>window.hacked=2</script>'
BLURRED = "DNA in B03 site 1: the image looks blurred"
CHANNELS = ("DNA", "ER")
LAUNCH = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def grey_of(well: str, site: int, channel: str) -> int:
    """Camera count of a site's flat picture: other than its neighbours'."""
    return 10 + (ord(well[0]) - ord("B")) * 50 + int(well[1:]) * 8 + site * 3 + 110 * CHANNELS.index(channel)


def draw(wells: list[str]) -> PlatePictures:
    flat = [
        (well, site, {name: np.full((32, 32), grey_of(well, site, name), np.uint8) for name in CHANNELS})
        for well in wells
        for site in (1, 2)
    ]
    return build_pictures(lambda: flat, shape=(8, 12), sites=[1, 2], channels=CHANNELS, tile_px=20)


def small_plate() -> tuple[PageData, PlatePictures]:
    """Rows B and C of a 96-well plate, columns 2 to 5 and 8: doses between controls, faults, a failed well."""
    wells = []
    for row, column in [(row, column) for row in (1, 2) for column in (2, 3, 4, 5, 8)]:
        name, number = str(Well(row, column)), len(wells)
        images = tuple(PageImage(channel, f"{name}-{channel}.tif", {"FocusScore": 0.5}, "pass") for channel in CHANNELS)
        sites = (PageSite(1, counts={"Cells": 90}, images=images), PageSite(2, missing=("ER",), images=images[:1]))
        control = {2: "negcon", 8: "poscon"}.get(column)
        wells.append(
            PageWell(
                well=name,
                treatment="DMSO" if control else "wortmannin",
                concentration=None if control else 0.1 * 10 ** (column - 3),
                unit=None if control else "µM",
                control=control,
                values={"cells_count": 180 + number, "focus": None if number == 3 else 1.0 / (1 + number)},
                sites=sites,
            )
        )
    images = (PageImage("DNA", "B03-DNA.tif", {"FocusScore": 0.5}, "fail", (BLURRED,)), *wells[1].sites[0].images[1:])
    sites = (replace(wells[1].sites[0], verdict="fail", reasons=(BLURRED, HOSTILE), images=images), wells[1].sites[1])
    wells[1] = PageWell("B03", HOSTILE, 0.3, "µM", None, "done", "fail", (HOSTILE,), {"cells_count": 187}, sites)
    wells[2] = replace(wells[2], verdict="warn", reasons=("dim",))
    wells[3:9] = [replace(well, verdict="pass") for well in wells[3:9]]
    wells[9] = PageWell("C08", state="missing", verdict="fail", sites=(PageSite(1, "missing"),))
    pictures = draw([well.well for well in wells])
    data = PageData(
        experiment="dose response",
        plate="P1",
        recipe="cp-1",
        run="abc",
        status="with-missing",
        rows=8,
        columns=12,
        verdict="warn",
        reasons=("one well failed", HOSTILE, "third", "fourth", "fifth"),
        not_judged=("PowerLogLogSlope of DNA against earlier plates: no earlier plate has a value, 5 are needed",),
        counts=(PageCount("Sites", 19, 20),),
        channels=(PageChannel("DNA", "#0000ff"), PageChannel("ER", "#00ff00")),
        metrics=(
            PageMetric("cells_count", "Cells count", "", "segmented cells", "Counts"),
            PageMetric("focus", "FocusScore DNA", "", "higher is sharper", "Image quality DNA"),
        ),
        wells=tuple(wells),
        statistics=(PageStatistic("cells_count", 0.71, 0.65, 9.5, 2, 2),),
        faults=(
            PageFault("bad.tif", "unreadable", "the file is cut off", "C04", 1, "DNA"),
            PageFault("x.db", "unknown", HOSTILE),
        ),
        decisions=(PageDecision("missing", "nothing came", "patience", "C08", 1, "DNA"),),
        links=(PageLink("run", "https://example.org/run"), PageLink("script", "javascript:window.hacked=3")),
        note="The rest is for SQL.",
        pictures=pictures.layout,
    )
    return data, pictures


def colours(page: Page) -> list[str]:
    return page.eval_on_selector_all(
        "#plate .well", "wells => wells.map(well => getComputedStyle(well).backgroundColor)"
    )


def wait_until(page: Page, expression: str, *, limit_s: float = 30.0) -> None:
    """Ask until it is true, also of a page that is just read again.

    Playwright's own ``wait_for_function`` asks again by ``eval``, which the page forbids.
    """
    deadline = time.monotonic() + limit_s
    while not _is_so(page, expression):
        assert time.monotonic() < deadline, f"not so after {limit_s:.0f} s: {expression}"
        page.wait_for_timeout(20)


def _is_so(page: Page, expression: str) -> bool:
    from playwright.sync_api import Error

    try:
        return bool(page.evaluate(expression))
    except Error as error:
        if "context was destroyed" in error.message:
            return False
        raise


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''")


def well(page: Page, name: str) -> Any:
    return page.locator(f'#plate .well[aria-label^="{name},"]')


PLACE: dict[str, Any] = {"experiment": "screen", "plate": "P1", "recipe": "cp-1", "run": "abc"}


def read_data(data: bytes) -> dict[str, Any]:
    return json.loads(data.decode("ascii").removeprefix("window.PLATE = ").removesuffix(";\n"))


def read_live(data: bytes) -> dict[str, Any]:
    return json.loads(data.decode("ascii").removeprefix("window.LIVE = ").removesuffix(";\n"))


def empty_page(**changes: Any) -> PageData:
    return replace(PageData(**PLACE, status="complete", rows=2, columns=3), **changes)


def draw_one_well(channels: list[str]) -> PlatePictures:
    picture = np.arange(64, dtype=np.uint16).reshape(8, 8)
    thumbnails = [("A01", 1, dict.fromkeys(channels, picture))]
    return build_pictures(lambda: thumbnails, shape=(2, 3), sites=[1], channels=channels)
