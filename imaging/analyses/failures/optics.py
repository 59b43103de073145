"""Sites and wells out of focus, saturated or full of debris: images unlike those of the plate's control wells.

An image is compared with the images of the same channel in the plate's negative controls (all the plate's wells where
fewer than eight are controls). The spread is the greater of theirs and that of all the plate's images, and never so
small that less than a difference which matters would count. A treatment may change how images look: where it has wells
on other plates, their median deviation is taken off first. A well fails when half of its sites do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imaging.analyses.failures.finding import Failure, say_z
from imaging.analyses.failures.limits import FEWEST, Usual, find_usual, limit_for
from imaging.analyses.profiles import Profiles
from imaging.words import say_value, show_value


@dataclass(frozen=True)
class _Rule:
    """A metric, the side that is wrong (-1 low, 1 high), and the least difference that matters in its unit."""

    rule: str
    metric: str
    side: int
    least: float
    meaning: str


_RULES = (
    _Rule("focus", "PowerLogLogSlope", -1, 0.5, "blurred"),
    _Rule("saturation", "PercentSaturated", 1, 1.0, "saturated"),
    _Rule("debris", "PercentDebris", 1, 5.0, "full of debris"),
)
"""0.5 of slope and 1 % of pixels are the limits of ``imaging.rules``; 5 % of the field is debris that hides cells."""
_INSTEAD = {
    "PowerLogLogSlope": _Rule("focus", "FocusScore", -1, 0.0, "blurred"),
    "PercentSaturated": _Rule("saturation", "PercentMaximal", 1, 1.0, "saturated"),
}
"""What is looked at where a metric is not measured, as in tables of other programs."""


def find_bad_images(profiles: Profiles, metrics: pd.DataFrame, limit: float, rules: set[str]) -> Iterator[Failure]:
    """Find sites and wells by their images; ``metrics`` as `measured.gather_metrics` gives them."""
    for rule in _RULES:
        used = rule if rule.metric in metrics else _INSTEAD.get(rule.metric, rule)
        if used.rule in rules and used.metric in metrics and len(metrics):
            yield from _apply(profiles, metrics, used, limit)


def _apply(profiles: Profiles, metrics: pd.DataFrame, rule: _Rule, limit: float) -> Iterator[Failure]:
    judged = metrics[np.isfinite(metrics[rule.metric])].reset_index(drop=True)
    if judged.empty:
        return
    row = judged["row"].to_numpy()
    control = profiles.wells["control"].to_numpy()[row]
    judged = judged.assign(control=control)[control != "empty"].reset_index(drop=True)
    usual: dict[tuple[str, str, str], _Reference] = {}
    z = np.full(len(judged), np.nan)
    limits = np.full(len(judged), np.inf)
    tests = len(judged)
    groups = judged.groupby(["experiment", "plate", "channel"], sort=True).indices
    for key, places in groups.items():
        found = _usual(judged.iloc[places], rule, limit)
        usual[key] = found
        if found.usual.sd > 0:
            values = judged[rule.metric].to_numpy()[places]
            z[places] = rule.side * (values - found.usual.median) / found.usual.sd
            limits[places] = limit_for(limit, tests=tests, n=found.usual.n)
    judged = judged.assign(z=z, limit=limits)
    judged["own"] = _without_treatment(profiles, judged)
    judged["fails"] = (judged["z"] > judged["limit"]) & (judged["own"] > judged["limit"])
    yield from _report(judged, usual, rule)


@dataclass(frozen=True)
class _Reference:
    """What is usual of a plate's images of one channel, and which wells those are of."""

    usual: Usual
    who: str


def _usual(images: pd.DataFrame, rule: _Rule, limit: float) -> _Reference:
    """Usual value of a plate's images of one channel, ``n`` counting wells, as a well's sites are alike."""
    is_control = images["control"].eq("negcon")
    has_controls = images["well"].where(is_control).nunique() >= FEWEST
    every = find_usual(images[rule.metric].to_numpy())
    controls = find_usual(images.loc[is_control, rule.metric].to_numpy())
    n = images["well"].nunique()
    if n < FEWEST:
        return _Reference(Usual(n, float("nan"), float("nan")), "")
    spread = max(every.sd, controls.sd if has_controls else 0.0, rule.least / limit)
    centre = controls.median if has_controls else every.median
    return _Reference(Usual(n, centre, spread), "control wells" if has_controls else "wells")


def _without_treatment(profiles: Profiles, judged: pd.DataFrame) -> np.ndarray:
    """Deviations less the median deviation of the same treatment's images on other plates, where that is positive."""
    row = judged["row"].to_numpy()
    known = profiles.wells.iloc[row]
    keys = known.groupby(["treatment", "concentration"], dropna=False).ngroup().to_numpy()
    plates = judged.groupby(["experiment", "plate"]).ngroup().to_numpy()
    channel = judged.groupby("channel").ngroup().to_numpy()
    z = judged["z"].to_numpy()
    own = z.copy()
    suspects = np.flatnonzero((z > judged["limit"].to_numpy()) & known["treatment"].ne("").to_numpy())
    for place in suspects:
        others = (keys == keys[place]) & (plates != plates[place]) & (channel == channel[place])
        if others.any():
            own[place] -= max(float(np.nanmedian(z[others])), 0.0) if np.isfinite(z[others]).any() else 0.0
    return own


def _report(judged: pd.DataFrame, usual: dict[tuple[str, str, str], _Reference], rule: _Rule) -> Iterator[Failure]:
    sites = judged.groupby(["experiment", "plate", "well"])["site"].nunique()
    failing = judged[judged["fails"]]
    for key, of_well in failing.groupby(["experiment", "plate", "well"], sort=True):
        experiment, plate, well = map(str, key if isinstance(key, tuple) else (key,))
        bad, total = of_well["site"].nunique(), int(sites.loc[(experiment, plate, well)])
        whole = 2 * bad >= total
        worst = of_well.sort_values(["z", "channel", "site"], ascending=[False, True, True])
        if whole:
            said = _say(worst.iloc[0], usual, rule, total)
            count = f"; {bad} of {total} sites" if total > 1 else ""
            yield _failure(worst.iloc[0], rule, "well", f"{said}{count}", experiment, plate, well)
            continue
        for _, image in worst.drop_duplicates("site").iterrows():
            said = f"{_say(image, usual, rule, total)}; {bad} of {total} sites of the well, which stays"
            yield _failure(image, rule, "site", said, experiment, plate, well)


def _failure(
    image: pd.Series, rule: _Rule, level: str, evidence: str, experiment: str, plate: str, well: str
) -> Failure:
    return Failure(
        experiment=experiment,
        plate=plate,
        level=level,
        rule=rule.rule,
        evidence=evidence,
        feature=f"{rule.metric}_{image['channel']}",
        value=float(rule.side * image["z"]),
        limit=float(rule.side * image["limit"]),
        well=well,
        site=int(image["site"]) if level == "site" else None,
        excluded=level == "well",
        reason=f"the well is {rule.meaning}" if level == "well" else "",
    )


def _say(image: pd.Series, usual: dict[tuple[str, str, str], _Reference], rule: _Rule, total: int) -> str:
    """``the power slope is -3.1 in DNA of site 1, 7.1 robust standard deviations below the plate's control wells``."""
    key = (image["experiment"], image["plate"], image["channel"])
    of_site = f" of site {image['site']}" if total > 1 else ""
    against = show_value(rule.metric, usual[key].usual.median)
    return (
        f"{say_value(rule.metric, image[rule.metric])} in {image['channel']}{of_site}, "
        f"{say_z(rule.side * image['z'])} the plate's {usual[key].who} ({against}, limit {image['limit']:.1f})"
    )
