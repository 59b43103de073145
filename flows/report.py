"""What a run tells about its plate in the Prefect UI."""

from __future__ import annotations

import base64
import io
import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from PIL import Image

from flows.artifacts import MAX_BYTES, Reporter
from flows.markdown import escape, link
from imaging.cost_words import money_words, time_words
from imaging.costs import Spending
from imaging.findings import list_findings
from imaging.job import PlateJob
from imaging.live_atlas import LiveAtlas
from imaging.planning import Plan, SitePlan, SiteState
from imaging.plate_picture import draw_overview, draw_verdicts
from imaging.projection import page_address, read_table
from imaging.publication import Publication
from imaging.render import encode_png
from imaging.wells import PLATE_SHAPES, parse_well

COLORS: dict[SiteState, tuple[int, int, int]] = {
    "waiting": (215, 220, 226),
    "todo": (250, 204, 90),
    "previewed": (122, 178, 211),
    "done": (58, 145, 92),
    "failed": (200, 60, 50),
    "missing": (90, 100, 112),
}
WORST_FIRST: tuple[SiteState, ...] = ("failed", "missing", "todo", "waiting", "previewed", "done")
CELL_PX = 22
EVERY_S, LONGEST_EVERY_S, SHARE = 3.0, 30.0, 1 / 60
"""Least seconds between two reports of progress: at first, at most, and as a share of the time since the first.

A plate is imaged for an hour, and each report is three requests to a server that a whole lab uses.
"""
MAX_ROWS = 200
"""Rows of a table that a person reads; the number of all stands in its description."""
LONGEST_TEXT = 300
QUALITY_TABLES = ("images", "sites", "wells")


class ProgressReport:
    """Reports a plate's plans, at most every few seconds; called with each new plan."""

    def __init__(self, reporter: Reporter, job: PlateJob) -> None:
        self.reporter, self.job = reporter, job
        self._began_at, self._reported_at = time.monotonic(), float("-inf")
        self._reported: tuple[SitePlan, ...] = ()

    def __call__(self, plan: Plan) -> None:
        """Report a plan unless the last one is too young or the same."""
        now = time.monotonic()
        pause_s = min(LONGEST_EVERY_S, max(EVERY_S, SHARE * (now - self._began_at)))
        if plan.sites == self._reported or now - self._reported_at < pause_s:
            return
        self._reported_at, self._reported = now, plan.sites
        report_plan(self.reporter, self.job, plan)


def report_plan(reporter: Reporter, job: PlateJob, plan: Plan) -> None:
    """Report progress, a map of the wells and what is wrong with files."""
    ended = sum(len(plan.of(state)) for state in ("done", "failed", "missing"))
    counts = ", ".join(f"{len(plan.of(state))} {state}" for state in COLORS if plan.of(state))
    images = f"{plan.images_arrived} of {plan.images_expected} images"
    reporter.progress("progress", 100.0 * ended / max(len(plan.sites), 1), f"{images}; sites: {counts}")
    reporter.image(
        "sites",
        draw_sites(job, plan),
        "sites by well: green done, blue images only, yellow to do, grey waiting, red failed, dark missing",
    )
    faults = [
        {"kind": "unreadable", "file": file.name, "well": well, "site": site, "channel": channel}
        for well, site, channel, file in plan.faulted
    ]
    faults += [{"kind": "unknown", "file": item.name, "reason": item.reason} for item in plan.unknown]
    reporter.table("faults", _readable(faults), f"files at fault now: {len(faults)}")


def report_page(reporter: Reporter, job: PlateJob) -> None:
    """Say where the plate's page is, from the start."""
    address = page_address(job)
    reporter.markdown("page", f"page: {link(address)}", "the plate's page, written again while it is imaged")


def report_quality(reporter: Reporter, job: PlateJob, tables: Mapping[str, pa.Table], standing: str) -> None:
    """Report the plate by verdict, and what was found in images, sites and wells.

    Parameters
    ----------
    reporter, job
        Where to, and the plate.
    tables
        The tables that ``QUALITY_TABLES`` names.
    standing
        In words whether the verdicts are provisional or of which publication.
    """
    wells = tables["wells"].select(["well", "verdict", "control"]).to_pylist()
    picture = encode_png(draw_verdicts(wells, PLATE_SHAPES[job.experiment.layout.wells]))
    reporter.image("verdicts", _address("png", picture), f"wells by verdict, {standing}")
    findings = list_findings(tables)
    counts = Counter(row["verdict"] for row in findings)
    said = f"{standing}: {counts['fail']} findings fail, {counts['warn']} warn"
    shown = _readable(findings)
    if len(shown) < len(findings):
        said += f"; the first {len(shown)} are shown, the worst first"
    reporter.table("quality", shown, said)


def report_overview(reporter: Reporter, atlas: LiveAtlas, standing: str) -> None:
    """Report the composite of the plate as far as it is measured."""
    most = (MAX_BYTES - len(_address("webp", b""))) // 4 * 3
    picture = draw_overview(atlas, max_bytes=most)
    reporter.image("overview", _address("webp", picture), f"the plate in colours, {standing}")


def report_costs(reporter: Reporter, spent: Spending, excess: object = None) -> None:
    """Report what the plate cost so far, and why it gets no more work."""
    lines = [f"machine time: {time_words(spent.machine_seconds)}, {spent.sites} sites measured"]
    if spent.has_price:
        lines.append(f"cost: {money_words(spent.cost)}, {money_words(spent.cost_per_site or 0.0)} a site")
    if excess:
        lines.insert(0, f"**{escape(str(excess))}**")
    reporter.markdown("cost", "\n\n".join(lines), "over budget" if excess else "what the plate cost so far")


def report_publication(reporter: Reporter, job: PlateJob, publication: Publication) -> None:
    """Report a publication: its quality, the named statistics, where the page and the tables are."""
    plate = read_table(job, publication, "plates").to_pylist()[0]
    statistics = read_table(job, publication, "statistics").to_pylist()
    page = page_address(job)
    lines = [
        f"## {escape(job.experiment.name)}/{escape(job.plate)}: {publication.status}, verdict {plate['verdict']}",
        f"publication {publication.number}, run `{publication.run}`",
        "",
        *(f"- {escape(reason)}" for reason in plate["reasons"] or ()),
        *(f"- Z' of {escape(row['feature'])}: {_shown(row['z_prime'])}" for row in statistics),
        "",
        f"page: {link(page)}",
        "",
        f'`platestream sql --store {job.store.url} "SELECT * FROM wells"`',
    ]
    reporter.markdown("publication", "\n".join(lines), f"publication {publication.number}")
    faults = read_table(job, publication, "faults").to_pylist()
    rows = [{name: row[name] for name in ("kind", "name", "well", "site", "channel", "reason")} for row in faults]
    reporter.table("faults", _readable(rows), f"files at fault in publication {publication.number}: {len(rows)}")


def draw_sites(job: PlateJob, plan: Plan) -> str:
    """Draw the worst state of each well's sites, as a ``data:`` address of a PNG."""
    rows, columns = PLATE_SHAPES[job.experiment.layout.wells]
    picture = Image.new("RGB", (columns, rows), (245, 247, 249))
    worst: dict[str, SiteState] = {}
    for site in plan.sites:
        before = worst.get(site.well, "done")
        worst[site.well] = site.state if WORST_FIRST.index(site.state) < WORST_FIRST.index(before) else before
    for name, state in worst.items():
        well = parse_well(name)
        picture.putpixel((well.column - 1, well.row), COLORS[state])
    scale = max(4, min(CELL_PX, 900 // columns))
    buffer = io.BytesIO()
    picture.resize((columns * scale, rows * scale), Image.Resampling.NEAREST).save(buffer, "PNG", optimize=True)
    return _address("png", buffer.getvalue())


def _address(kind: str, data: bytes) -> str:
    """A ``data:`` address with a picture in it."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _readable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first rows, long texts cut, as many as an artifact holds."""
    shown = [
        {name: value[:LONGEST_TEXT] if isinstance(value, str) else value for name, value in row.items()}
        for row in rows[:MAX_ROWS]
    ]
    while len(json.dumps(shown)) > MAX_BYTES:
        shown = shown[: len(shown) * 3 // 4]
    return shown


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
