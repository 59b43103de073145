"""What the demo shows while it runs and when it is over, and whether that is right."""

from __future__ import annotations

import itertools
import json
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flows.microscope import Microscope
from flows.settings import Settings
from imaging.job import PlateJob
from imaging.planning import Plan
from imaging.projection import page_address
from imaging.publication import read_manifests
from imaging.query import run_query
from imaging.records import manifest_key, pins_key, publication_key

FEATURE = "Cells_Intensity_NucleusCytoplasmRatio_GFP"
DOSES = f"""
SELECT concentration, control, COUNT(*) AS wells, AVG({FEATURE}) AS ratio, AVG(nuclei_count) AS nuclei
FROM wells GROUP BY concentration, control ORDER BY concentration
"""
FAULTS = """
SELECT 'unreadable' AS kind, name, reason FROM fault_records
UNION ALL SELECT kind, name, reason FROM faults
"""
TRY = (
    "SELECT well, treatment, concentration, control, nuclei_count FROM wells ORDER BY well",
    f"SELECT concentration, AVG({FEATURE}) AS ratio FROM wells GROUP BY concentration ORDER BY concentration",
    "SELECT name, reason FROM fault_records",
)


@dataclass(frozen=True)
class Outcome:
    """What came out: results, times, and what was expected of them."""

    doses: list[dict[str, Any]]
    z_prime: float | None
    faults: list[dict[str, Any]]
    publications: list[dict[str, Any]]
    moments: dict[str, float]
    latency: dict[str, Any]
    checks: dict[str, bool]
    restarts: dict[str, int]
    page: str
    objects: int = field(default=0)

    @property
    def is_right(self) -> bool:
        """Whether everything came out as it must."""
        return all(self.checks.values())


def judge(job: PlateJob, microscope: Microscope, moments: dict[str, float], restarts: dict[str, int]) -> Outcome:
    """Read the results back, by SQL and from the records, and hold them against what must come out."""
    plan = job.survey()
    doses = run_query(job.store, DOSES).to_pylist()
    z_prime = run_query(job.store, "SELECT z_prime FROM statistics").to_pylist()[0]["z_prime"]
    faults = run_query(job.store, FAULTS).to_pylist()
    records = [json.loads(job.store.read(publication_key(job.prefix, number))) for number in plan.records.publications]
    ratios = [row["ratio"] for row in doses]
    accidents = microscope.accidents
    named = {row["name"] for row in faults}
    checks = {
        "48 of 48 sites are done": len(plan.of("done")) == len(plan.sites) == 48,
        "Z' of the nucleus/cytoplasm ratio is 0.6 or more": z_prime is not None and z_prime >= 0.6,
        "the ratio rises with the dose up to its plateau": _rises(ratios),
        "the truncated file was found and its replacement taken": accidents.truncated in named,
        "the first publication lacks the late image, the last is complete": [row["status"] for row in records][:1]
        == ["with-missing"]
        and records[-1]["status"] == "complete",
        "nothing is left to do": not plan.todo and plan.is_publishable,
    }
    return Outcome(
        doses=doses,
        z_prime=z_prime,
        faults=faults,
        publications=records,
        moments=dict(moments),
        latency=measure_latency(job, plan),
        checks=checks,
        restarts=restarts,
        page=page_address(job),
        objects=len(job.store.list(job.prefix).objects) + len(job.store.list(job.zarr).objects),
    )


def _rises(ratios: list[float], *, tolerance: float = 0.05) -> bool:
    """Whether values rise, apart from a share of their whole range that a plateau may fall by."""
    allowed = tolerance * (max(ratios) - min(ratios))
    return all(later >= earlier - allowed for earlier, later in itertools.pairwise(ratios))


def measure_latency(job: PlateJob, plan: Plan) -> dict[str, Any]:
    """Seconds from a site's last image to its row in ``sites_live``, that is to its manifest.

    ``following`` are the sites whose last image came after the run had begun (its pins are its first act); ``cold``
    those that waited for the run to start.
    """
    written = {item.key: item.modified for item in job.store.list(f"{job.prefix}sites/").objects}
    begun = job.store.modified(pins_key(job.prefix)) or 0.0
    manifests = read_manifests(job.store, job.prefix, [site.name for site in plan.of("done")])
    seconds: dict[str, list[float]] = {"following": [], "cold": []}
    for site, manifest in zip(plan.of("done"), manifests, strict=True):
        last = max(image["modified"] for image in manifest["images"])
        kind = "following" if last > begun else "cold"
        seconds[kind].append(written[manifest_key(job.prefix, site.name)] - last)
    return {kind: _percentiles(values) for kind, values in seconds.items()}


def _percentiles(values: list[float]) -> dict[str, float | int]:
    if len(values) < 2:
        return {"sites": len(values)} | ({"p50_s": values[0], "p95_s": values[0], "max_s": values[0]} if values else {})
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return {
        "sites": len(values),
        "p50_s": round(cuts[9], 2),
        "p95_s": round(cuts[18], 2),
        "max_s": round(max(values), 2),
    }


def progress_view(plan: Plan, microscope: Microscope, moments: dict[str, float]) -> RenderableType:
    """The plate at a glance while it is being imaged."""
    table = Table.grid(padding=(0, 2))
    expected = max(plan.images_expected, 1)
    for label, done, total in (
        ("images arrived", plan.images_arrived, expected),
        ("sites done", len(plan.of("done")), len(plan.sites)),
    ):
        table.add_row(label, ProgressBar(total=total, completed=done, width=40), f"{done} of {total}")
    faults = f"{len(plan.records.faults)} damaged, {len(plan.of('waiting'))} sites waiting"
    stage = next(reversed(moments), "starting")
    return Group(table, Text(f"uploaded {microscope.uploaded} files; {faults}; last: {stage}", style="dim"))


def print_outcome(console: Console, outcome: Outcome, settings: Settings) -> None:
    """Print results, faults, times, what to try next, and whether all is as it must be."""
    doses = Table(title="dose response (rows A-D, median over a well's cells, mean over wells)")
    for name in ("dose index", "control", "wells", "nucleus/cytoplasm GFP", "nuclei per well"):
        doses.add_column(name, justify="right")
    for row in outcome.doses:
        control = row["control"] if row["control"] in ("negcon", "poscon") else ""
        doses.add_row(
            f"{row['concentration']:g}", control, str(row["wells"]), f"{row['ratio']:.3f}", f"{row['nuclei']:.0f}"
        )
    console.print(doses)
    shown = "none" if outcome.z_prime is None else f"{outcome.z_prime:.3f}"
    console.print(f"Z' of {FEATURE}: {shown}")
    faults = Table(title="files that were found at fault or not needed")
    for name in ("kind", "file", "reason"):
        faults.add_column(name)
    for row in outcome.faults:
        faults.add_row(row["kind"], row["name"] or "", row["reason"] or "")
    console.print(faults)
    for record in outcome.publications:
        console.print(f"publication {record['number']}: {record['status']}, run {record['run']}")
    for kind, meaning in (("following", "with a run following"), ("cold", "from a cold start")):
        latency = outcome.latency[kind]
        if latency["sites"]:
            console.print(
                f"last image to row, {meaning}: median {latency['p50_s']:.1f} s, p95 {latency['p95_s']:.1f} s, "
                f"greatest {latency['max_s']:.1f} s over {latency['sites']} sites"
            )
    console.print("; ".join(f"{moment} at {seconds:.0f} s" for moment, seconds in outcome.moments.items()))
    console.print("\ntry next:")
    for sql in TRY:
        console.print(f'  {sys.argv[0]} sql --store {_shown(settings.store)} "{sql}"', soft_wrap=True, highlight=False)
    console.print(f"\nplate page  {outcome.page}", soft_wrap=True)
    for check, is_met in outcome.checks.items():
        console.print(Text("  ok    " if is_met else "  WRONG ", style="green" if is_met else "bold red") + Text(check))


def _shown(store: str) -> str:
    """The store's folder as one would type it here."""
    here = Path.cwd()
    path = Path(store)
    return str(path.relative_to(here)) if path.is_relative_to(here) else store
