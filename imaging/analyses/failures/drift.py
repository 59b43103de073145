"""A drifting microscope: control charts of the negative controls over the plates, in the order of their imaging.

Charted are the number of cells, intensity and focus of the control wells' images, and the features where there are few.
Plates are ordered by the first of the columns ``acquired_at``, ``first_image_at`` and ``started_at`` that wells have,
else by batch and name. What drifts is stated at the plates where a rule of Western Electric is met; nobody is excluded:
normalisation within plates takes most of it off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from imaging.analyses.control_charts import Chart, Signal, chart_points, drifting
from imaging.analyses.failures.finding import Failure
from imaging.analyses.failures.summaries import MOST_FEATURES
from imaging.analyses.profiles import Profiles
from imaging.words import show_number

TIMES = ("acquired_at", "first_image_at", "started_at")
CHARTED = ("MeanIntensity", "BackgroundLevel", "PowerLogLogSlope", "FocusScore")


def find_drift(profiles: Profiles, metrics: pd.DataFrame) -> Iterator[Failure]:
    """Find plates at which a drift of the negative controls shows; ``metrics`` of `measured.gather_metrics`."""
    when = _said_order(profiles)
    for experiment, charts in chart_controls(profiles, metrics).items():
        for chart in drifting(charts):
            first = {signal.point: signal for signal in reversed(chart.signals)}
            for point in sorted(first):
                said = _say(chart, first[point], when)
                yield Failure(
                    experiment=experiment,
                    plate=chart.names[point],
                    level="plate",
                    rule="drift",
                    evidence=said,
                    feature=chart.metric,
                    value=float((chart.values[point] - chart.centre) / chart.sd),
                    limit=None,
                    excluded=False,
                    reason="drift is stated; the plate stays",
                )


def chart_controls(profiles: Profiles, metrics: pd.DataFrame) -> dict[str, list[Chart]]:
    """Control charts of each experiment's negative controls, one per metric, a point per plate.

    Parameters
    ----------
    profiles
        Raw wells.
    metrics
        Image metrics, as `measured.gather_metrics` gives them.
    """
    is_control = profiles.is_control("negcon")
    charts: dict[str, list[Chart]] = {}
    for (experiment,), rows in profiles.groups(["experiment"]):
        plates = _in_order(profiles.wells.iloc[rows])
        wells = rows[is_control[rows]]
        series = {"cells_count": _medians(profiles.wells.iloc[wells], profiles.wells["cells_count"].to_numpy()[wells])}
        if len(profiles.features) <= MOST_FEATURES:
            series |= {
                name: _medians(profiles.wells.iloc[wells], profiles.of(name)[wells]) for name in profiles.features
            }
        series |= _of_images(metrics[metrics["row"].isin(wells)])
        found = [
            chart_points(name, plates, of_plate.reindex(plates).to_numpy(float)) for name, of_plate in series.items()
        ]
        charts[experiment] = [chart for chart in found if len(chart.values)]
    return charts


def _of_images(metrics: pd.DataFrame) -> dict[str, pd.Series]:
    found = {}
    for channel, images in metrics.groupby("channel", sort=True):
        for metric in CHARTED:
            if metric in images:
                found[f"{metric}_{channel}"] = _medians(images, images[metric].to_numpy())
    return found


def _medians(wells: pd.DataFrame, values: np.ndarray) -> pd.Series:
    """Median of each plate's values."""
    return pd.Series(values, index=wells["plate"].to_numpy(), dtype=float).groupby(level=0).median()


def _in_order(wells: pd.DataFrame) -> list[str]:
    """Plates in the order in which they were imaged."""
    column = _time_column(wells)
    plates = wells.drop_duplicates("plate")
    if column is None:
        named = zip(plates["batch"], plates["plate"], strict=True)
        return [plate for _, plate in sorted(named, key=lambda names: _natural(*names))]
    first = wells.groupby("plate")[column].min()
    return sorted(first.index, key=lambda plate: (first[plate], _natural("", plate)))


def _time_column(wells: pd.DataFrame) -> str | None:
    there = (name for name in TIMES if name in wells and wells[name].notna().all() and wells[name].ne("").all())
    return next(there, None)


def _natural(batch: str, plate: str) -> tuple[tuple[tuple[int, str], ...], ...]:
    """Names in the order in which people count: P2 before P10."""
    return tuple(
        tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"[0-9]+|[^0-9]+", name))
        for name in (batch, plate)
    )


def _said_order(profiles: Profiles) -> str:
    column = _time_column(profiles.wells)
    return f"in the order of {column}" if column else "in the order of batches and plates' names"


def _say(chart: Chart, signal: Signal, when: str) -> str:
    value, z = chart.values[signal.point], (chart.values[signal.point] - chart.centre) / chart.sd
    return (
        f"{chart.metric} of the negative controls is {show_number(float(value))}, {abs(z):.1f} standard deviations "
        f"{'below' if z < 0 else 'above'} the centre {show_number(chart.centre)} of {len(chart.values)} plates {when}: "
        f"{signal.words}; a CUSUM as great comes by chance with p = {chart.p:.2g}"
    )
