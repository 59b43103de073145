"""Rows of images, sites, wells and the plate, made from site manifests level by level.

Rows are dictionaries without the columns that say which plate they belong to. Everything here is a pure function of
what it is given: the same sites give the same rows in any order. Those of sites and images get their verdicts from
``imaging.judging``, which has to see the whole plate; those of wells and plate are made after that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imaging.platemaps import PlateMapRow
from imaging.tables import IMAGE_METRICS
from imaging.time_points import site_columns
from imaging.verdicts import Finding, is_partial, verdict_of, verdict_of_plate
from imaging.wells import parse_well

Row = dict[str, Any]
NO_VERDICT: Row = {"verdict": None, "reasons": []}
"""Columns of what nobody can judge yet."""
_FILE_COLUMNS = ("name", "size_bytes", "digest", "height", "width", "dtype")


@dataclass(frozen=True, slots=True)
class SiteResult:
    """How one expected site ended: with its manifest, failed with a reason, or missing; or that it is waiting.

    ``site`` is its number (``imaging.time_points``). ``faulted`` channels have a file that cannot be read; ``missing``
    channels have none, or are given up; ``arrived`` channels of a waiting site have a file that nobody measured yet.
    ``planes`` holds, of each channel that is expected, the number of planes that should come and of those that came;
    ``None`` where that is not known: all channels, one plane each.
    """

    well: str
    site: int
    state: str
    manifest: Mapping[str, Any] | None = None
    reason: str = ""
    missing: frozenset[str] = frozenset()
    faulted: frozenset[str] = frozenset()
    arrived: frozenset[str] = frozenset()
    planes: Mapping[str, tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class SiteRows:
    """Rows of one site: of the site and of each of its images, and all that was found wrong with them.

    ``is_empty_well`` says that the plate map expects no cells, ``reason`` why the site failed. Before the plate is
    judged the rows lack ``verdict`` and ``reasons``, and there are no findings.
    """

    site: Row
    images: tuple[Row, ...]
    findings: tuple[Finding, ...] = ()
    is_empty_well: bool = False
    reason: str = ""


def sort_sites(sites: Iterable[SiteResult]) -> list[SiteResult]:
    """Sites in plate order: row by row, then by time point and site."""
    return sorted(sites, key=lambda item: (parse_well(item.well), item.site))


def aggregate_site(result: SiteResult, channels: Sequence[str], *, is_empty_well: bool = False) -> SiteRows:
    """Make the rows of one site and its images, to be judged with the rest of the plate.

    Parameters
    ----------
    result
        How the site ended.
    channels
        Names of all declared channels, in the declaration's order; those that the site is not to have are left out.
    is_empty_well
        Whether the plate map says that the well holds no cells.
    """
    counts = (result.manifest or {}).get("counts") or {}
    wanted = [channel for channel in channels if result.planes is None or channel in result.planes]
    images = tuple(_image_row(result, channel) for channel in wanted)
    site = {
        "well": result.well,
        **site_columns(result.site),
        "state": result.state,
        "nuclei_count": counts.get("Nuclei"),
        "cells_count": counts.get("Cells"),
        "channels_missing": [row["channel"] for row in images if row["state"] in ("faulted", "missing")],
    }
    return SiteRows(site, images, is_empty_well=is_empty_well, reason=result.reason)


def aggregate_well(well: str, sites: Sequence[SiteRows], mapped: PlateMapRow | None) -> Row:
    """Make the row of one well at one time point from those of its sites, judged before; features are added to it."""
    place = parse_well(well)
    findings = [item for site in sites for item in site.findings]
    is_waiting = all(site.site["state"] == "waiting" for site in sites)
    return {
        "well": well,
        "time_point": sites[0].site["time_point"],
        "row": place.row_name,
        "column": place.column,
        "treatment": mapped.treatment if mapped else None,
        "concentration": mapped.concentration if mapped else None,
        "concentration_unit": mapped.concentration_unit if mapped else None,
        "control": mapped.control if mapped else None,
        "sites_expected": len(sites),
        "sites_done": sum(site.site["state"] == "done" for site in sites),
        "nuclei_count": sum_known(site.site["nuclei_count"] for site in sites),
        "cells_count": sum_known(site.site["cells_count"] for site in sites),
        **(NO_VERDICT if is_waiting and not findings else verdict_of(findings)),
    }


def count_states(rows: SiteRows) -> Counter[str]:
    """Count a site and its images by state, e.g. ``sites_expected``, ``sites_done``, ``images_missing``."""
    states = [("sites", rows.site["state"]), *(("images", image["state"]) for image in rows.images)]
    counts = Counter(f"{what}_{name}" for what, state in states for name in ("expected", state))
    counts["images_partial"] = sum(is_partial(image) for image in rows.images)
    return counts


def aggregate_plate(
    counts: Mapping[str, int],
    wells: Sequence[Row],
    findings: Sequence[Finding],
    *,
    is_declared: bool,
    not_judged: Sequence[str] = (),
) -> Row:
    """Make the plate's row, but for its statistics, from the counts of all its sites.

    Its status is ``complete`` when every expected image arrived, with all its planes, and every site was measured, else
    ``with-missing``.
    """
    counted = {name: counts.get(name, 0) for name in _COUNTED}
    is_waiting = counts.get("sites_waiting", 0) == counted["sites_expected"] > 0
    is_complete = (
        counted["images_arrived"] == counted["images_expected"]
        and counted["sites_done"] == counted["sites_expected"]
        and not counts.get("images_partial", 0)
    )
    return {
        **counted,
        "status": "complete" if is_complete else "with-missing",
        "is_declared": is_declared,
        "nuclei_count": sum_known(well["nuclei_count"] for well in wells),
        "cells_count": sum_known(well["cells_count"] for well in wells),
        **(NO_VERDICT if is_waiting and not findings else verdict_of_plate(findings)),
        "not_judged": list(not_judged),
    }


def sum_known(values: Iterable[int | None]) -> int | None:
    """Sum of the values that are known; ``None`` when none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


_COUNTED = (
    *(f"images_{state}" for state in ("expected", "arrived", "faulted", "missing")),
    *(f"sites_{state}" for state in ("expected", "done", "failed", "missing")),
)
_METRIC_NAMES = frozenset(column.name for column in IMAGE_METRICS)


def _image_row(result: SiteResult, channel: str) -> Row:
    manifest = result.manifest or {}
    file = next((image for image in manifest.get("images", ()) if image["channel"] == channel), {})
    metrics = next((item for item in manifest.get("image_metrics", ()) if item["channel"] == channel), {})
    state = _image_state(result, channel, has_file=bool(file))
    expected, came = (result.planes or {}).get(channel, (1, int(state in ("arrived", "faulted"))))
    return {
        "well": result.well,
        **site_columns(result.site),
        "channel": channel,
        "state": state,
        "planes_expected": expected,
        "planes_arrived": came,
        "planes_measured": len(file.get("planes") or (file,)) if file else 0,
        **{column: file.get(column) for column in _FILE_COLUMNS},
        **{name: value for name, value in metrics.items() if name in _METRIC_NAMES},
        "not_measured": list(metrics.get("not_measured", ())) if metrics else _why_not_measured(state),
    }


def _why_not_measured(state: str) -> list[str]:
    """Why an image has no metric at all."""
    reasons = {"missing": "the image did not come", "faulted": "the image cannot be read"}
    return [reasons[state]] if state in reasons else []


def _image_state(result: SiteResult, channel: str, *, has_file: bool) -> str:
    """A site is measured, or tried, only when each channel has a readable file or is given up."""
    is_tried = result.state == "failed" and channel not in result.missing
    if has_file or is_tried or channel in result.arrived:
        return "arrived"
    if channel in result.faulted:
        return "faulted"
    return "waiting" if result.state == "waiting" and channel not in result.missing else "missing"
