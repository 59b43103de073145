"""A whole plate judged: each image, site and well by itself and against the plate, the plate against earlier plates.

`judge_plate` is the only place where rules are applied, for a plate that is published and for one that is still being
imaged: there its verdicts are provisional, as what is typical of the sites so far may change with those to come.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imaging.aggregates import NO_VERDICT, Row, SiteRows
from imaging.rules import COUNTS, IMAGE_METRICS, Outlier, Rules
from imaging.typical import FEWEST_PLATES, FEWEST_WELLS, History, Measured, Typical, find_typical
from imaging.verdicts import (
    Finding,
    image_name,
    is_empty,
    judge_image,
    judge_outlier,
    judge_site,
    site_name,
    verdict_of,
)
from imaging.words import name_metric

_UNKNOWN = Typical(0, None, None)


@dataclass(frozen=True, slots=True)
class JudgedPlate:
    """A plate's sites with their verdicts, and what was found of the plate as a whole.

    ``metrics`` are rows of ``plate_metrics``; ``not_judged`` says which outlier rules could not be applied, and why.
    """

    sites: tuple[SiteRows, ...]
    findings: tuple[Finding, ...]
    metrics: tuple[Row, ...]
    not_judged: tuple[str, ...]

    @property
    def all_findings(self) -> list[Finding]:
        """Findings of the plate itself, then those of its sites in their order."""
        return [*self.findings, *(item for site in self.sites for item in site.findings)]


def judge_plate(sites: Sequence[SiteRows], rules: Rules, history: History | None = None) -> JudgedPlate:
    """Judge the sites of a plate, all of them or those that are done so far.

    Parameters
    ----------
    sites
        Rows of the plate's sites, as ``imaging.aggregates.aggregate_site`` makes them. A site in the state ``waiting``
        has no verdict yet, unless something is wrong with one of its images already.
    rules
        Rules of the experiment.
    history
        What earlier plates gave; left out, the plate is not compared with them.

    Returns
    -------
    The sites in the same order, with verdicts, reasons and findings. The same sites give the same verdicts in any
    order. What is typical is that of a site's own time point.
    """
    times = sorted({site.site["time_point"] for site in sites})
    if len(times) < 2:
        return _judge_time_point(sites, rules, history.at(*times) if history and times else history)
    parts = {
        time: _judge_time_point(
            [site for site in sites if site.site["time_point"] == time], rules, history.at(time) if history else None
        )
        for time in times
    }
    in_turn = {time: iter(part.sites) for time, part in parts.items()}
    return JudgedPlate(
        sites=tuple(next(in_turn[site.site["time_point"]]) for site in sites),
        findings=tuple(finding for part in parts.values() for finding in part.findings),
        metrics=tuple(row for part in parts.values() for row in part.metrics),
        not_judged=tuple(dict.fromkeys(sentence for part in parts.values() for sentence in part.not_judged)),
    )


def _judge_time_point(sites: Sequence[SiteRows], rules: Rules, history: History | None) -> JudgedPlate:
    time = sites[0].site["time_point"] if sites else 1
    wells = _find_typical_wells(sites)
    channels = list(dict.fromkeys(image["channel"] for site in sites for image in site.images))
    findings = _judge_against_history(wells, channels, rules, history, time) if history else []
    return JudgedPlate(
        sites=tuple(_judge_site(site, rules, wells) for site in sites),
        findings=tuple(findings),
        metrics=tuple(
            {"time_point": time} | _metric_row(key, wells.get(key, _UNKNOWN), history or History())
            for key in _measured(channels)
        ),
        not_judged=tuple(_say_not_judged(wells, channels, rules, history)),
    )


def _measured(channels: Iterable[str]) -> list[Measured]:
    of_images: list[Measured] = [(channel, metric) for channel in channels for metric in IMAGE_METRICS]
    return [*of_images, *((None, count) for count in COUNTS)]


def _find_typical_wells(sites: Iterable[SiteRows]) -> dict[Measured, Typical]:
    """What is typical of the plate's wells, each standing for the median of its images or sites.

    Wells without cells, and images with nothing in them, are left out.
    """
    values: dict[Measured, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for site in sites:
        if site.is_empty_well:
            continue
        seen: list[tuple[str | None, Mapping[str, Any], Sequence[str]]] = [(None, site.site, COUNTS)]
        seen += [(image["channel"], image, IMAGE_METRICS) for image in site.images if not is_empty(image)]
        for channel, row, names in seen:
            for name in names:
                if (value := row.get(name)) is not None:
                    values[channel, name][site.site["well"]].append(value)
    return {key: find_typical(map(statistics.median, wells.values())) for key, wells in values.items()}


def _judge_site(site: SiteRows, rules: Rules, wells: Mapping[Measured, Typical]) -> SiteRows:
    row = site.site
    own = judge_site(
        row["well"],
        row["site"],
        row["state"],
        nuclei_count=row["nuclei_count"],
        time_point=row["time_point"],
        is_empty_well=site.is_empty_well,
        reason=site.reason,
    )
    if not site.is_empty_well:
        place = site_name(row["well"], row["site"], row["time_point"])
        own += _unlike_wells(rules.outliers_for(None, "plate"), row, None, place, wells)
    images: list[Row] = []
    of_images: list[Finding] = []
    for image in site.images:
        found = _judge_image(site, image, rules, wells)
        is_unmeasured = row["state"] in ("failed", "waiting") and image["state"] in ("arrived", "waiting")
        images.append(image | (NO_VERDICT if is_unmeasured else verdict_of(found)))
        of_images += [] if row["state"] == "missing" else found
    findings = (*own, *of_images)
    is_awaited = row["state"] == "waiting" and not findings
    verdict = NO_VERDICT if is_awaited else verdict_of(findings)
    return replace(site, site=row | verdict, images=tuple(images), findings=findings)


def _judge_image(site: SiteRows, image: Row, rules: Rules, wells: Mapping[Measured, Typical]) -> list[Finding]:
    found = judge_image(image, rules, is_empty_well=site.is_empty_well)
    if site.is_empty_well or is_empty(image):
        return found
    channel = image["channel"]
    outliers = rules.outliers_for(channel, "plate")
    return [*found, *_unlike_wells(outliers, image, channel, image_name(image), wells)]


def _unlike_wells(
    outliers: Iterable[Outlier], row: Row, channel: str | None, place: str, wells: Mapping[Measured, Typical]
) -> list[Finding]:
    found = []
    for rule in outliers:
        typical = wells.get((channel, rule.metric), _UNKNOWN)
        if typical.n >= FEWEST_WELLS:
            found.append(judge_outlier(rule, row.get(rule.metric), typical, place))
    return [item for item in found if item is not None]


def _judge_against_history(
    wells: Mapping[Measured, Typical], channels: Iterable[str], rules: Rules, history: History, time_point: int
) -> list[Finding]:
    found, when = [], f" at time point {time_point}" if time_point > 1 else ""
    for channel in (*channels, None):
        for rule in rules.outliers_for(channel, "history"):
            usual = history.medians.get((channel, rule.metric), _UNKNOWN)
            place = f"{channel} of the plate{when}" if channel else f"the plate{when}"
            if usual.n >= FEWEST_PLATES:
                median = wells.get((channel, rule.metric), _UNKNOWN).median
                found.append(judge_outlier(rule, median, usual, place))
    return [item for item in found if item is not None]


def _metric_row(key: Measured, wells: Typical, history: History) -> Row:
    """A row of ``plate_metrics``."""
    channel, metric = key
    usual = history.medians.get(key, _UNKNOWN)
    reason = _why_no_z(usual, FEWEST_PLATES, "earlier plate") or (None if wells.n else "no well has a value")
    return {
        "channel": channel,
        "metric": metric,
        "n_wells": wells.n,
        "median": wells.median,
        "robust_sd": wells.robust_sd,
        "history_plates": usual.n,
        "history_median": usual.median,
        "history_robust_sd": usual.robust_sd,
        "robust_z": None if reason else usual.z_of(wells.median),
        "reason": reason,
    }


def _say_not_judged(
    wells: Mapping[Measured, Typical], channels: Sequence[str], rules: Rules, history: History | None
) -> list[str]:
    """Which outlier rules could not be applied, and why; the history only where there is one to compare with."""
    said = []
    medians = history.medians if history else {}
    for channel in (*channels, None):
        for rule in rules.outliers_for(channel, "plate"):
            if why := _why_no_z(wells.get((channel, rule.metric), _UNKNOWN), FEWEST_WELLS, "well"):
                said.append(f"{name_metric(rule.metric, channel)} against the plate's wells: {why}")
        for rule in rules.outliers_for(channel, "history") if history else ():
            usual = medians.get((channel, rule.metric), _UNKNOWN)
            if why := _why_no_z(usual, FEWEST_PLATES, "earlier plate"):
                said.append(f"{name_metric(rule.metric, channel)} against earlier plates: {why}")
    return list(dict.fromkeys(said))


def _why_no_z(typical: Typical, fewest: int, what: str) -> str | None:
    if typical.n < fewest:
        some = f"{typical.n or 'no'} {what}{' has' if typical.n in (0, 1) else 's have'} a value"
        return f"{some}, {fewest} are needed"
    return None if typical.robust_sd else f"all {what}s have the same value"
