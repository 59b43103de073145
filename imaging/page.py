"""The page of one plate: files that open by a double click, without a server, a network or a build.

    index.html  page.css  page.js      the same for every plate, from ``page_files``
    data.js                            numbers of the publication: ``window.PLATE = {...}``
    live.js                            before there is one, those so far: ``window.LIVE = {...}`` (imaging.live_page)
    links.js                           where else to look, written later: ``window.LINKS = [...]`` (imaging.analyses)
    overview-1-<hash>.webp ...         pictures (``imaging.atlas``)

The page shows the publication when there is one, and else what is live. So the two have files of their own: however
late a follower writes what it saw before the publication, it never lies over that.

Whatever came from a user (names, treatments, reasons) reaches the page as text: the script inserts it with
``textContent``, the page's content security policy forbids everything else, and data.js escapes what could end a
script. The same page and pictures give the same bytes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from imaging.atlas import PictureLayout
from imaging.live_atlas import LIVE_PICTURE
from imaging.page_parts import LINKS, STYLE, assign_script, encode_links, join_scripts, page_source
from imaging.platemaps.plate_map import is_linear_unit
from imaging.store import Store
from imaging.wells import parse_well

SCRIPTS = (
    "base.js",
    "colours.js",
    "verdicts.js",
    "plate.js",
    "legend.js",
    "pictures.js",
    "well.js",
    "chart.js",
    "lists.js",
    "refresh.js",
    "page.js",
)
"""Parts of page.js, in the order they are joined."""

DATA, LIVE = "data.js", "live.js"
OLD_PICTURE_S = 86_400.0  # age from which a picture that no page shows is deleted

Values = Mapping[str, float | int | None]


@dataclass(frozen=True)
class PageMetric:
    """A number per well that the heat map can show; metrics of one ``group`` stand together."""

    name: str
    label: str
    unit: str = ""
    description: str = ""
    group: str = ""


@dataclass(frozen=True)
class PageImage:
    """An image of a site: its file, image metrics and verdict with the reasons."""

    channel: str
    name: str
    metrics: Values = field(default_factory=dict)
    verdict: str | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class PageSite:
    """A site of a well by its number; ``missing`` names channels without an image, ``label`` is shown for the number.

    ``state`` is done, failed, missing or waiting.
    """

    site: int
    state: str = "done"
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    counts: Values = field(default_factory=dict)
    images: tuple[PageImage, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class PageWell:
    """A well: what is in it, what was found (``values`` by the name of the metric) and its sites."""

    well: str
    treatment: str | None = None
    concentration: float | None = None
    unit: str | None = None
    control: str | None = None
    state: str = "done"
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    values: Values = field(default_factory=dict)
    sites: tuple[PageSite, ...] = ()


@dataclass(frozen=True)
class PageChannel:
    """A channel and its colour, ``#rrggbb``."""

    name: str
    color: str


@dataclass(frozen=True)
class PageCount:
    """A number of the page's head, e.g. sites 1,230 of 1,232."""

    label: str
    value: int
    expected: int | None = None


@dataclass(frozen=True)
class PageFact:
    """A text of the page's head, e.g. Cost 1.20 USD; ``more`` follows it, paler, e.g. of about 4.80 USD."""

    label: str
    text: str
    more: str = ""


@dataclass(frozen=True)
class PageStatistic:
    """Assay statistics of one feature; ``reason`` says why one is ``None``."""

    feature: str
    z_prime: float | None = None
    robust_z_prime: float | None = None
    ssmd: float | None = None
    n_negcon: int = 0
    n_poscon: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class PageFault:
    """An uploaded file that does not count, and why."""

    name: str
    kind: str
    reason: str
    well: str | None = None
    site: int | str | None = None
    channel: str | None = None


@dataclass(frozen=True)
class PageDecision:
    """What a person or patience decided."""

    kind: str
    reason: str
    by: str
    well: str | None = None
    site: int | str | None = None
    channel: str | None = None


@dataclass(frozen=True)
class PageLink:
    """A link of the page's head; only addresses of the web or beside the page become links, others stay text."""

    label: str
    url: str


@dataclass(frozen=True)
class PageData:
    """All that a plate's page shows.

    ``status`` is complete, with-missing, withdrawn or imaging; while imaging the page calls verdicts provisional.
    ``rows`` and ``columns`` are the plate's; ``reasons`` stand in the page's head; ``not_judged`` tells of rules that
    could not be applied; wells stand in plate order; channels stand in the order of the pictures, if there are any;
    ``costs`` stand beside the counts; ``notice`` stands above all and says what somebody has to do;
    ``note`` ends the page. ``updated_at`` is when a live page was made, in Unix seconds: a published page has no time.
    """

    experiment: str
    plate: str
    recipe: str
    run: str
    status: str
    rows: int
    columns: int
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    not_judged: tuple[str, ...] = ()
    counts: tuple[PageCount, ...] = ()
    costs: tuple[PageFact, ...] = ()
    channels: tuple[PageChannel, ...] = ()
    metrics: tuple[PageMetric, ...] = ()
    wells: tuple[PageWell, ...] = ()
    statistics: tuple[PageStatistic, ...] = ()
    faults: tuple[PageFault, ...] = ()
    decisions: tuple[PageDecision, ...] = ()
    links: tuple[PageLink, ...] = ()
    note: str = ""
    notice: str = ""
    updated_at: int | None = None
    pictures: PictureLayout | None = None


def write_page(
    store: Store, prefix: str, page: PageData, pictures: Mapping[str, bytes], *, now: float | None = None
) -> str:
    """Write the page of a publication: a projection, so it may be written again at any time.

    Pictures of earlier pages are deleted once nobody can be looking at them any more, live ones at once.

    Parameters
    ----------
    store
        Where to write.
    prefix
        Folder of the page.
    page
        What it shows.
    pictures
        Files that ``page.pictures`` names: name -> WebP.
    now
        Unix seconds instead of the clock's.

    Returns
    -------
    Key of index.html, which is written last.

    Raises
    ------
    ValueError
        If the channels differ from those of the pictures, or a picture is missing.
    """
    folder = f"{prefix.rstrip('/')}/"
    check_pictures(page, pictures)
    for name, data in sorted(pictures.items()):
        store.write(f"{folder}{name}", data)
    write_scripts(store, folder)
    store.write(f"{folder}{DATA}", encode_data(page))
    store.write(f"{folder}{LIVE}", encode_live(None))
    store.create(f"{folder}{LINKS}", encode_links(()))
    write_index(store, folder)
    delete_pictures(store, folder, (), beginning=LIVE_PICTURE)
    delete_pictures(store, folder, pictures, before=(time.time() if now is None else now) - OLD_PICTURE_S)
    return f"{folder}index.html"


def write_index(store: Store, folder: str) -> None:
    """Write index.html, which needs everything else."""
    store.write(f"{folder}index.html", page_source("index.html"))


def write_scripts(store: Store, folder: str) -> None:
    """Write the script and the style of the page, which are the same for every plate."""
    store.write(f"{folder}{STYLE}", page_source(STYLE))
    store.write(f"{folder}page.js", join_scripts(map(page_source, SCRIPTS)))


def delete_pictures(
    store: Store, folder: str, wanted: Iterable[str], *, beginning: str = "", before: float = math.inf
) -> None:
    """Delete pictures whose names begin so, but those wanted and those written at or after ``before`` (Unix seconds).

    Young ones may belong to a page that is being written or read.
    """
    keys = {f"{folder}{name}" for name in wanted}
    for item in store.list(folder).objects:
        is_meant = item.key.startswith(f"{folder}{beginning}") and item.key.endswith(".webp")
        if is_meant and item.key not in keys and item.modified < before:
            store.delete(item.key)


def encode_data(page: PageData | None) -> bytes:
    """Write data.js, or an empty one: pure ASCII, in which no text of the plate can end the script or become markup."""
    return assign_script("PLATE", None if page is None else _plate(page))


def encode_live(page: PageData | None) -> bytes:
    """Write live.js, or an empty one, as ``encode_data`` does."""
    return assign_script("LIVE", None if page is None else _plate(page))


def check_pictures(page: PageData, pictures: Mapping[str, bytes]) -> None:
    """Refuse pictures that are not those the page names.

    Raises
    ------
    ValueError
        If the channels differ from those of the pictures, or a picture is missing.
    """
    if page.pictures is None:
        return
    named = [channel.channel for channel in page.pictures.channels]
    shown = [channel.name for channel in page.channels]
    if named != shown:
        raise ValueError(f"channels must be those of the pictures, {named}, got {shown}")
    needed = {channel.file for channel in page.pictures.channels} | set(page.pictures.sheets.files)
    if missing := sorted(needed - pictures.keys()):
        raise ValueError(f"pictures must hold every file of the layout, without {missing}")


def _plate(page: PageData) -> dict[str, Any]:
    """The page as JSON: metrics by column, image metrics by place, so that 1,536 wells stay a few megabytes."""
    channels = {channel.name: number for number, channel in enumerate(page.channels)}
    image_metrics = list(dict.fromkeys(name for image in _images(page) for name in image.metrics))
    shown = {name: value for name, value in vars(page).items() if isinstance(value, str | int | None)}
    return {
        **shown,
        "reasons": list(page.reasons),
        "not_judged": list(page.not_judged),
        "counts": [asdict(count) for count in page.counts],
        "costs": [asdict(fact) for fact in page.costs],
        "channels": [asdict(channel) for channel in page.channels],
        "metrics": [
            asdict(metric) | {"values": [_number(well.values.get(metric.name)) for well in page.wells]}
            for metric in page.metrics
        ],
        "image_metrics": image_metrics,
        "wells": [_well(well, channels, image_metrics) for well in page.wells],
        "statistics": [
            {name: _number(value) if isinstance(value, float) else value for name, value in asdict(row).items()}
            for row in page.statistics
        ],
        "faults": [asdict(fault) for fault in page.faults],
        "decisions": [asdict(decision) for decision in page.decisions],
        "links": [asdict(link) for link in page.links],
        "pictures": asdict(page.pictures) if page.pictures else None,
    }


def _images(page: PageData) -> list[PageImage]:
    return [image for well in page.wells for site in well.sites for image in site.images]


def _well(well: PageWell, channels: Mapping[str, int], image_metrics: list[str]) -> dict[str, Any]:
    place = parse_well(well.well)
    return {
        "well": well.well,
        "row": place.row,
        "column": place.column,
        "treatment": well.treatment,
        "concentration": _number(well.concentration),
        "unit": well.unit,
        "is_linear": is_linear_unit(well.unit or ""),
        "control": well.control,
        "state": well.state,
        "verdict": well.verdict,
        "reasons": list(well.reasons),
        "sites": [_site(site, channels, image_metrics) for site in well.sites],
    }


def _site(site: PageSite, channels: Mapping[str, int], image_metrics: list[str]) -> dict[str, Any]:
    return {
        "site": site.site,
        "label": site.label or str(site.site),
        "state": site.state,
        "verdict": site.verdict,
        "reasons": list(site.reasons),
        "missing": list(site.missing),
        "counts": {name: _number(count) for name, count in site.counts.items()},
        "images": [
            {
                "channel": channels[image.channel],
                "name": image.name,
                "verdict": image.verdict,
                "reasons": list(image.reasons),
                "values": [_number(image.metrics.get(name)) for name in image_metrics],
            }
            for image in site.images
        ],
    }


def _number(value: float | int | None) -> float | int | None:
    """A number as the page shows it, six digits; ``None`` for NaN and infinities."""
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
