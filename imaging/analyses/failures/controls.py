"""Negative controls that failed, although they are the measure of everything else; and plates that failed as a whole.

Three comparisons, of the number of cells and of the features or components that stand for them:

    controls of a column     against the plate's negative controls in other columns
    a plate's controls       against its own treated wells, and that difference against other plates'; where there are
                             fewer than five of those, controls with less than half of the cells of the median treated
                             well: most treatments do not make cells grow
    a plate                  its controls and its treated wells against those of other plates, in the same direction

Image metrics of whole plates, focus, saturation, debris and intensity, are compared with other plates' as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from imaging.analyses.failures.cells import LEAST_LOSS
from imaging.analyses.failures.finding import Failure, say_z
from imaging.analyses.failures.limits import FEWEST, MEDIAN_TO_SD, Usual, find_usual, limit_for, limit_of_plates
from imaging.analyses.failures.summaries import Summary
from imaging.analyses.profiles import Profiles
from imaging.typical import FEWEST_PLATES
from imaging.words import name_metric, show_value

FEWEST_CONTROLS = 3
_LEAST_LOG_SD = 0.05
_LEAST_PLATE_SD = 0.1
_METRICS = {"PowerLogLogSlope": 0.5, "PercentSaturated": 1.0, "PercentDebris": 5.0, "MeanIntensity": 0.0}
"""Metrics of whole plates, and the least difference that matters in their unit."""


def find_failed_controls(profiles: Profiles, summaries: Sequence[Summary], limit: float) -> Iterator[Failure]:
    """Find columns of negative controls that failed."""
    is_control = profiles.is_control("negcon")
    plates = profiles.groups(["experiment", "plate"])
    for summary in summaries:
        for (experiment, plate), rows in plates:
            yield from _columns(
                profiles, experiment, plate, rows[is_control[rows]], summary, limit, len(plates) * len(summaries)
            )


def _columns(
    profiles: Profiles, experiment: str, plate: str, controls: np.ndarray, summary: Summary, limit: float, tests: int
) -> Iterator[Failure]:
    known = controls[np.isfinite(summary.values[controls])]
    values, columns = summary.values[known], profiles.wells["column"].to_numpy()[known]
    names = np.unique(columns[np.isfinite(columns)])
    if len(names) < 2 or len(known) < FEWEST:
        return
    inside = [values[columns == name] - np.median(values[columns == name]) for name in names]
    usual = find_usual(np.concatenate(inside))
    free = max(len(known) - 2 * len(names), 1)  # each column's own median makes its wells look more alike
    sd = max(usual.sd * np.sqrt(len(known) / free), _LEAST_LOG_SD if summary.is_log else 0.0)
    if not sd > 0:
        return
    reach = limit_for(limit, tests=tests * len(names), n=free)
    treated = _treated(profiles, experiment, plate, summary)
    suspects = []
    for name in names:
        own, others = values[columns == name], values[columns != name]
        if len(own) < FEWEST_CONTROLS or len(others) < FEWEST_CONTROLS:
            continue
        difference = float(np.median(own) - np.median(others))
        z = difference / (MEDIAN_TO_SD * sd * np.sqrt(1 / len(own) + 1 / len(others)))
        if abs(z) > reach and abs(difference) > limit * sd / 2:
            apart = abs(float(np.median(own)) - treated)  # of two columns that differ the farther one is wrong
            suspects.append((apart, float(name), float(z), difference))
    if not suspects:
        return
    _, name, z, difference = max(suspects, key=lambda item: (item[0], -item[1]))
    wells = known[columns == name]
    said = (
        f"the {len(wells)} negative controls of column {int(name)} are {summary.say(difference)} in {summary.words} "
        f"than those of the other columns, {say_z(z)} (limit {reach:.1f})"
    )
    found = Failure(
        experiment=experiment,
        plate=plate,
        level="column",
        rule="controls",
        evidence=said,
        feature=summary.name,
        value=z,
        limit=float(np.sign(z) * reach),
        column=int(name),
        reason="these controls failed",
    )
    yield from _of_column(profiles, found, wells)


def _treated(profiles: Profiles, experiment: str, plate: str, summary: Summary) -> float:
    """Median of a plate's treated wells; of all its wells where none is treated."""
    here = (profiles.wells["experiment"].eq(experiment) & profiles.wells["plate"].eq(plate)).to_numpy()
    treated = _median(summary.values[here & profiles.is_control("trt")])
    return treated if np.isfinite(treated) else _median(summary.values[here])


def _of_column(profiles: Profiles, found: Failure, wells: np.ndarray) -> Iterator[Failure]:
    """The failure of a column where it holds negative controls only, else one of each of its controls."""
    frame = profiles.wells
    here = frame["experiment"].eq(found.experiment) & frame["plate"].eq(found.plate)
    here &= (frame["column"] == found.column).to_numpy()
    if frame.loc[here, "control"].eq("negcon").all():
        yield found
        return
    for row in wells:
        yield replace(found, level="well", column=None, well=str(frame["well"].iloc[row]))


def _whole(profiles: Profiles, limit: float) -> Iterator[Failure]:
    """Plates whose controls, or all of whose wells, have unusual numbers of cells."""
    counts = np.log(profiles.wells["cells_count"].to_numpy(dtype=float) + 1)
    is_control, is_treated = profiles.is_control("negcon"), profiles.is_control("trt")
    plates = profiles.groups(["experiment", "plate"])
    controls = np.array([_median(counts[rows[is_control[rows]]]) for _, rows in plates])
    treated = np.array([_median(counts[rows[is_treated[rows]]]) for _, rows in plates])
    sizes = [int(is_control[rows].sum()) for _, rows in plates]
    for place, ((experiment, plate), _) in enumerate(plates):
        if sizes[place] >= FEWEST_CONTROLS and np.isfinite(controls[place] - treated[place]):
            yield from _controls_of_plate(experiment, plate, controls, treated, place, limit, sizes[place])
        yield from _plate(experiment, plate, treated, place, limit)


def _controls_of_plate(
    experiment: str, plate: str, controls: np.ndarray, treated: np.ndarray, place: int, limit: float, wells: int
) -> Iterator[Failure]:
    ratios = controls - treated
    others = _others(ratios, place)
    counted = f"{np.expm1(controls[place]):,.0f} cells, treated wells {np.expm1(treated[place]):,.0f}"
    seen = f"the {wells} negative controls have {counted}"
    if others.n >= FEWEST_PLATES:
        z = float((ratios[place] - others.median) / max(others.sd, _LEAST_PLATE_SD))
        reach = limit_of_plates(limit, tests=len(ratios), n=others.n)
        if z >= -reach or np.expm1(ratios[place] - others.median) > -LEAST_LOSS:
            return
        said = f"{seen}: {say_z(z)} what {others.n} other plates have (limit {reach:.1f})"
        value, bound = z, -reach
    else:
        value, bound = float(np.expm1(ratios[place])), -LEAST_LOSS
        if value > bound:
            return
        said = f"{seen}: less than half, though most treatments do not make cells grow"
    yield Failure(
        experiment=experiment,
        plate=plate,
        level="plate",
        rule="controls",
        evidence=said,
        feature="cells_count",
        value=value,
        limit=bound,
        reason="nothing can be compared with controls that failed",
    )


def _plate(experiment: str, plate: str, levels: np.ndarray, place: int, limit: float) -> Iterator[Failure]:
    others = _others(levels, place)
    if others.n < FEWEST_PLATES or not np.isfinite(levels[place]):
        return
    sd = max(others.sd, _LEAST_PLATE_SD)
    z = float((levels[place] - others.median) / sd)
    reach = limit_of_plates(limit, tests=len(levels), n=others.n)
    lost = np.expm1(levels[place] - others.median)
    if z < -reach and lost <= -LEAST_LOSS:
        yield Failure(
            experiment=experiment,
            plate=plate,
            level="plate",
            rule="plate",
            evidence=(
                f"its treated wells have {np.expm1(levels[place]):,.0f} cells, {-lost:.0%} fewer than the median of "
                f"{others.n} other plates: {say_z(z)} them (limit {reach:.1f})"
            ),
            feature="cells_count",
            value=z,
            limit=-reach,
            reason="the plate lost its cells",
        )


def find_dead_plates(profiles: Profiles, limit: float, rules: set[str]) -> Iterator[Failure]:
    """Find plates that lost their controls' cells, or all their cells."""
    yield from (item for item in _whole(profiles, limit) if item.rule in rules)


def find_failed_plates(metrics: pd.DataFrame, limit: float, rules: set[str]) -> Iterator[Failure]:
    """Find plates whose images as a whole are unlike other plates'; ``metrics`` of `measured.gather_metrics`."""
    sides = {"PowerLogLogSlope": ("focus", -1), "PercentSaturated": ("saturation", 1), "PercentDebris": ("debris", 1)}
    for metric, least in _METRICS.items():
        rule, side = sides.get(metric, ("plate", 0))
        if metric not in metrics or rule not in rules:
            continue
        medians = metrics.groupby(["experiment", "channel", "plate"])[metric].median()
        for key, of_channel in medians.groupby(level=["experiment", "channel"]):
            experiment, channel = map(str, key if isinstance(key, tuple) else (key,))
            names = of_channel.index.get_level_values("plate")
            values = of_channel.to_numpy(dtype=float)
            for place, plate in enumerate(names):
                others = _others(values, place)
                if others.n < FEWEST_PLATES or not np.isfinite(values[place]):
                    continue
                sd = max(others.sd, least / limit, 0.1 * abs(others.median) if side == 0 else 0.0)
                reach = limit_of_plates(limit, tests=len(medians) * len(_METRICS), n=others.n)
                z = float((values[place] - others.median) / sd) if sd > 0 else 0.0
                if (side * z if side else abs(z)) > reach:
                    yield Failure(
                        experiment=str(experiment),
                        plate=str(plate),
                        level="plate",
                        rule=rule,
                        evidence=(
                            f"{name_metric(metric, str(channel))} is {show_value(metric, values[place])} in the median "
                            f"image, {say_z(z)} {others.n} other plates ({show_value(metric, others.median)}, "
                            f"limit {reach:.1f})"
                        ),
                        feature=f"{metric}_{channel}",
                        value=z,
                        limit=float(np.sign(z) * reach),
                        excluded=side != 0,
                        reason="the plate's images are unlike other plates'" if side else "",
                    )


def _others(values: np.ndarray, place: int) -> Usual:
    return find_usual(np.delete(values, place))


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
