"""Quality verdicts: what a rule finds wrong, in words, and how it becomes pass, warn or fail.

A finding is made where something is seen, on an image, a site or the plate, and rises to everything it is part of: the
verdict of a site, well or plate is that of its worst finding. ``imaging.judging`` judges a whole plate with these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from imaging.rules import COUNTS, Limit, Outlier, Rules
from imaging.time_points import join_site, say_site
from imaging.typical import Typical
from imaging.words import say_meaning, say_value, show_limit, show_value

Level = Literal["pass", "warn", "fail"]

_WORST_FIRST: tuple[Level, ...] = ("fail", "warn", "pass")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: how badly, its kind as a plural for counting, where, and in words."""

    level: Level
    kind: str
    where: str
    what: str

    @property
    def sentence(self) -> str:
        """Place and finding, e.g. ``DNA in B03 site 1: 2.4 % of pixels are saturated (limit 1 %)``."""
        return f"{self.where}: {self.what}"


def worst(levels: Iterable[Level]) -> Level:
    """The worst of some verdicts; pass when there is none."""
    ordered: list[Level] = sorted(levels, key=_WORST_FIRST.index)
    return ordered[0] if ordered else "pass"


def verdict_of(findings: Sequence[Finding]) -> dict[str, Any]:
    """Columns ``verdict`` and ``reasons`` of what has these findings, the worst first."""
    ordered = sorted(findings, key=lambda item: _WORST_FIRST.index(item.level))
    return {"verdict": worst(item.level for item in findings), "reasons": [item.sentence for item in ordered]}


def verdict_of_plate(findings: Sequence[Finding]) -> dict[str, Any]:
    """Columns ``verdict`` and ``reasons`` of a plate: one reason per kind of finding, the worst first, with counts."""
    kinds: dict[tuple[str, Level], list[Finding]] = {}
    for item in findings:
        kinds.setdefault((item.kind, item.level), []).append(item)
    ordered = sorted(kinds.values(), key=lambda group: _WORST_FIRST.index(group[0].level))
    return {"verdict": worst(item.level for item in findings), "reasons": [_counted(group) for group in ordered]}


def judge_image(row: Mapping[str, Any], rules: Rules, *, is_empty_well: bool = False) -> list[Finding]:
    """Judge one image by itself.

    Parameters
    ----------
    row
        Its row of ``images``: well, site, channel, state and metrics.
    rules
        Rules of the experiment.
    is_empty_well
        Whether the plate map says that the well holds no cells.
    """
    where = image_name(row)
    if row["state"] == "missing":
        return [Finding("warn", "missing images", where, "the image did not come")]
    if row["state"] == "faulted":
        return [Finding("warn", "unreadable images", where, "the image cannot be read")]
    if is_flat(row):
        is_white = (row.get("PercentSaturated") or 0) > 0
        what = "all pixels are saturated" if is_white else "all pixels have the same value"
        return [Finding("fail", "saturated images" if is_white else "empty images", where, what)]
    found = []
    for limit in rules.limits_for(row["channel"]):
        if limit.metric == "EmptyImage" and is_empty_well:
            continue
        found.append(_judge_limit(limit, row.get(limit.metric), where))
    findings = [item for item in found if item is not None]
    if is_partial(row):
        what = f"{row['planes_measured']} of {row['planes_expected']} planes of its z-stack came"
        findings.append(Finding("warn", "images without all planes", where, what))
    empty = [item for item in findings if item.kind == "empty images"]
    return empty or findings  # of an empty image nothing else is worth saying


def judge_site(
    well: str,
    site: int,
    state: str,
    *,
    nuclei_count: int | None,
    time_point: int = 1,
    is_empty_well: bool = False,
    reason: str = "",
) -> list[Finding]:
    """Judge one site by itself; the findings of its images come on top.

    Parameters
    ----------
    well, site
        Its place.
    state
        ``done``, ``failed`` or ``missing``.
    nuclei_count
        Nuclei found; ``None`` where none were looked for.
    time_point
        When it was imaged.
    is_empty_well
        Whether the plate map says that the well holds no cells.
    reason
        Why it failed.
    """
    where = site_name(well, site, time_point)
    if state == "failed":
        return [Finding("fail", "failed sites", where, f"the site could not be processed: {reason}")]
    if state == "missing":
        return [Finding("fail", "missing sites", where, "no image of the site came")]
    if nuclei_count == 0 and not is_empty_well:
        return [Finding("warn", "sites without nuclei", where, "no nuclei were found")]
    return []


def judge_outlier(rule: Outlier, value: float | None, typical: Typical, where: str) -> Finding | None:
    """Judge a value by how far it lies from what is typical.

    Parameters
    ----------
    rule
        The rule; its metric and reference say what the value is and what it is compared with.
    value
        The value of an image or site, or the plate's median; ``None`` passes.
    typical
        What is typical; without a robust standard deviation everything passes.
    where
        The place in words.
    """
    z = typical.z_of(value)
    if value is None or z is None or typical.median is None:
        return None
    side = "low" if z < 0 else "high"
    if rule.side not in (side, "both") or abs(value - typical.median) < rule.min_difference:
        return None
    limits: tuple[tuple[Level, float | None], ...] = (("fail", rule.fail_z), ("warn", rule.warn_z))
    for level, limit in limits:
        if limit is not None and abs(z) > limit:
            usual = f"(typical {show_value(rule.metric, typical.median)}, limit {limit:g})"
            return Finding(
                level, _kind(rule), where, f"{_unlike(rule, value, z, typical.n)} {usual}{_meaning(rule, side)}"
            )
    return None


def site_name(well: str, site: int, time_point: int = 1) -> str:
    """A site in words: ``B03 site 1``, or ``B03 site 1 at time point 2``."""
    return say_site(well, join_site(site, time_point))


def image_name(row: Mapping[str, Any]) -> str:
    """An image in words: ``DNA in B03 site 1``."""
    return f"{row['channel']} in {site_name(row['well'], row['site'], row.get('time_point') or 1)}"


def is_partial(row: Mapping[str, Any]) -> bool:
    """Whether an image was made from fewer planes of its z-stack than were expected."""
    return 0 < (row.get("planes_measured") or 0) < (row.get("planes_expected") or 0)


def is_flat(row: Mapping[str, Any]) -> bool:
    """Whether all pixels of an image have the same value: no camera gives that, not even of an empty well."""
    lowest, highest = row.get("MinIntensity"), row.get("MaxIntensity")
    return lowest is not None and lowest == highest


def is_empty(row: Mapping[str, Any]) -> bool:
    """Whether there is nothing in an image."""
    return is_flat(row) or row.get("EmptyImage") == 1


def _unlike(rule: Outlier, value: float, z: float, n: int) -> str:
    """``the power slope is -3.1, 9.2 robust standard deviations below the plate's wells``."""
    is_plate = rule.against == "history"
    said = say_value(rule.metric, value) + (" in the median well" if is_plate else "")
    among = f"the {n} earlier plates" if is_plate else "the plate's wells"
    return f"{said}, {abs(z):,.1f} robust standard deviations {'below' if z < 0 else 'above'} {among}"


def _kind(rule: Outlier) -> str:
    if rule.against == "history":
        return f"metrics unlike earlier plates in {rule.metric}"
    return f"{'sites' if rule.metric in COUNTS else 'images'} unlike the plate's wells in {rule.metric}"


def _meaning(rule: Outlier, side: str) -> str:
    return say_meaning(rule.metric, side, "plate" if rule.against == "history" else "image")


def _judge_limit(limit: Limit, value: float | None, where: str) -> Finding | None:
    if value is None:
        return None
    bounds: tuple[tuple[Level, float | None, float | None], ...] = (
        ("fail", limit.fail_below, limit.fail_above),
        ("warn", limit.warn_below, limit.warn_above),
    )
    for level, low, high in bounds:
        if low is not None and value < low:
            return _outside(level, limit.metric, value, where, f"at least {show_limit(limit.metric, low)}", "low")
        if high is not None and value > high:
            return _outside(level, limit.metric, value, where, f"limit {show_limit(limit.metric, high)}", "high")
    return None


def _outside(level: Level, metric: str, value: float, where: str, bound: str, side: str) -> Finding:
    if metric == "EmptyImage":
        return Finding(level, "empty images", where, "the image is empty: nothing stands out from its background")
    what = f"{say_value(metric, value)} ({bound}){say_meaning(metric, side, 'image')}"
    return Finding(level, f"images outside the limits of {metric}", where, what)


def _counted(group: Sequence[Finding]) -> str:
    first = group[0].sentence
    return first if len(group) == 1 else f"{len(group)} {group[0].kind}, first {first}"
