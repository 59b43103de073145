"""Quality rules with fixed limits: pass, warn or fail, with reasons in words.

A finding is made where something is seen, on an image, a site or a well, and rises to everything it is part of: the
verdict of a site, well or plate is that of its worst finding. Limits are the declaration's ``analysis.limits``; a
metric that it names none for has those of `DEFAULT_LIMITS`. Rules look at one site alone, so they say the same while
the plate is being imaged and after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from imaging.experiment import Limit

Level = Literal["pass", "warn", "fail"]

DEFAULT_LIMITS = (Limit(metric="PercentSaturated", channel=None, warn_above=1.0),)
"""Limits of metrics that a declaration says nothing about, in the metric's unit."""

_WORDS = {
    "PercentSaturated": "{} % of pixels are saturated",
    "PercentMaximal": "{} % of pixels have the image's highest value",
    "PercentMinimal": "{} % of pixels have the image's lowest value",
    "FocusScore": "the focus score is {}",
    "StdIntensity": "the contrast (StdIntensity) is {}",
}
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
    """Columns ``verdict`` and ``reasons`` of what has these findings."""
    return {"verdict": worst(item.level for item in findings), "reasons": [item.sentence for item in findings]}


def verdict_of_plate(findings: Sequence[Finding]) -> dict[str, Any]:
    """Columns ``verdict`` and ``reasons`` of a plate: one reason per kind of finding, the worst first, with counts."""
    kinds: dict[tuple[str, Level], list[Finding]] = {}
    for item in findings:
        kinds.setdefault((item.kind, item.level), []).append(item)
    ordered = sorted(kinds.values(), key=lambda group: _WORST_FIRST.index(group[0].level))
    return {"verdict": worst(item.level for item in findings), "reasons": [_counted(group) for group in ordered]}


def judge_image(row: Mapping[str, Any], limits: Sequence[Limit] = ()) -> list[Finding]:
    """Judge one image.

    Parameters
    ----------
    row
        Its row of ``images``: well, site, channel, state and metrics.
    limits
        Limits of the experiment's declaration.
    """
    where = f"{row['channel']} in {site_name(row['well'], row['site'])}"
    if row["state"] == "missing":
        return [Finding("warn", "missing images", where, "the image did not come")]
    if row["state"] == "faulted":
        return [Finding("warn", "unreadable images", where, "the image cannot be read")]
    if _is_empty(row):
        return [Finding("fail", "empty images", where, "all pixels have the same value")]
    chosen = _limits_for(row["channel"], limits)
    found = (_judge_metric(limit, row.get(limit.metric), where) for limit in chosen)
    return [item for item in found if item is not None]


def judge_site(
    well: str, site: int, state: str, *, nuclei_count: int | None, is_empty_well: bool = False, reason: str = ""
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
    is_empty_well
        Whether the plate map says that the well holds no cells.
    reason
        Why it failed.
    """
    where = site_name(well, site)
    if state == "failed":
        return [Finding("fail", "failed sites", where, f"the site could not be processed: {reason}")]
    if state == "missing":
        return [Finding("fail", "missing sites", where, "no image of the site came")]
    if nuclei_count == 0 and not is_empty_well:
        return [Finding("warn", "sites without nuclei", where, "no nuclei were found")]
    return []


def site_name(well: str, site: int) -> str:
    """A site in words: ``B03 site 1``."""
    return f"{well} site {site}"


def _is_empty(row: Mapping[str, Any]) -> bool:
    lowest, highest = row.get("MinIntensity"), row.get("MaxIntensity")
    return lowest is not None and lowest == highest


def _limits_for(channel: str, limits: Sequence[Limit]) -> list[Limit]:
    """Limits that hold for a channel: declared ones, and defaults of metrics without one."""
    declared = [limit for limit in limits if limit.channel in (None, channel)]
    named = {limit.metric for limit in declared}
    return [*declared, *(limit for limit in DEFAULT_LIMITS if limit.metric not in named)]


def _judge_metric(limit: Limit, value: float | None, where: str) -> Finding | None:
    if value is None:
        return None
    bounds: tuple[tuple[Level, float | None, float | None], ...] = (
        ("fail", limit.fail_below, limit.fail_above),
        ("warn", limit.warn_below, limit.warn_above),
    )
    for level, low, high in bounds:
        if low is not None and value < low:
            return _outside(level, limit.metric, value, where, f"at least {_shown(limit.metric, low)}")
        if high is not None and value > high:
            return _outside(level, limit.metric, value, where, f"limit {_shown(limit.metric, high)}")
    return None


def _outside(level: Level, metric: str, value: float, where: str, bound: str) -> Finding:
    words = _WORDS.get(metric, metric + " is {}").format(f"{value:.3g}")
    return Finding(level, f"images outside the limits of {metric}", where, f"{words} ({bound})")


def _shown(metric: str, bound: float) -> str:
    return f"{bound:g} %" if metric.startswith("Percent") else f"{bound:g}"


def _counted(group: Sequence[Finding]) -> str:
    first = group[0].sentence
    return first if len(group) == 1 else f"{len(group)} {group[0].kind}, first {first}"
