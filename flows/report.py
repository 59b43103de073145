"""What a run tells about its plate in the Prefect UI."""

from __future__ import annotations

import base64
import io
import time

from PIL import Image

from flows.artifacts import Reporter
from imaging.job import PlateJob
from imaging.planning import Plan, SitePlan, SiteState
from imaging.projection import page_folder, read_table
from imaging.publication import Publication
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
EVERY_S = 3.0
MAX_FAULTS = 200


class ProgressReport:
    """Reports a plate's plans, at most every few seconds; called with each new plan."""

    def __init__(self, reporter: Reporter, job: PlateJob) -> None:
        self.reporter, self.job = reporter, job
        self._reported_at = float("-inf")
        self._reported: tuple[SitePlan, ...] = ()

    def __call__(self, plan: Plan) -> None:
        """Report a plan unless the last one is too young or the same."""
        now = time.monotonic()
        if plan.sites == self._reported or now - self._reported_at < EVERY_S:
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
    reporter.table("faults", faults[:MAX_FAULTS], f"files at fault now: {len(faults)}")


def report_publication(reporter: Reporter, job: PlateJob, publication: Publication) -> None:
    """Report a publication: its quality, the named statistics, where the page and the tables are."""
    plate = read_table(job, publication, "plates").to_pylist()[0]
    statistics = read_table(job, publication, "statistics").to_pylist()
    page = job.store.local_path(f"{page_folder(job)}index.html")
    lines = [
        f"## {job.experiment.name}/{job.plate}: {publication.status}, verdict {plate['verdict']}",
        f"publication {publication.number}, run `{publication.run}`",
        "",
        *(f"- {reason}" for reason in plate["reasons"] or ()),
        *(f"- Z' of {row['feature']}: {_shown(row['z_prime'])}" for row in statistics),
        "",
        f"page: [{page}]({page.as_uri()})" if page else f"page: `{job.store.url}/{page_folder(job)}index.html`",
        "",
        f'`platestream sql --store {job.store.url} "SELECT * FROM wells"`',
    ]
    reporter.markdown("publication", "\n".join(lines), f"publication {publication.number}")
    faults = read_table(job, publication, "faults").to_pylist()
    rows = [{name: row[name] for name in ("kind", "name", "well", "site", "channel", "reason")} for row in faults]
    reporter.table("faults", rows[:MAX_FAULTS], f"files at fault in publication {publication.number}: {len(rows)}")


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
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
