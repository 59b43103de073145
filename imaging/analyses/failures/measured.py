"""Image metrics of sites, from the table ``images`` or from features that CellProfiler named after them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from imaging.analyses.profiles import Profiles

METRICS = (
    "PowerLogLogSlope",
    "FocusScore",
    "PercentSaturated",
    "PercentMaximal",
    "PercentDebris",
    "MeanIntensity",
    "BackgroundLevel",
)
"""Metrics that rules look at."""

_NAMED = re.compile(rf"(?:Image_)?(?:ImageQuality_)?(?P<metric>{'|'.join(METRICS)})_(?P<channel>\w+)")
PLACE = ["experiment", "plate", "well", "site", "channel"]


def gather_metrics(profiles: Profiles, images: pd.DataFrame | None) -> pd.DataFrame:
    """Put the image metrics of an experiment into one table.

    Parameters
    ----------
    profiles
        Raw wells; what is a feature called ``ImageQuality_PowerLogLogSlope_DNA`` stands for site 0, the whole well.
    images
        Rows of ``images``, if there are any; then features are not looked at.

    Returns
    -------
    One row per image: experiment, plate, well, site, channel, the metrics that there are (float, NaN where none is),
    and ``row``, the position of its well in ``profiles``. Images of wells without a profile are left out. Of several
    time points each image is a row of its own.
    """
    frame = _of_images(images) if images is not None and len(images) else _of_features(profiles)
    keys = profiles.wells[["experiment", "plate", "well"]].copy()
    keys["row"] = np.arange(len(keys))
    keys = keys.drop_duplicates(["experiment", "plate", "well"])
    return frame.merge(keys, on=["experiment", "plate", "well"], how="inner").sort_values(PLACE, ignore_index=True)


def _of_images(images: pd.DataFrame) -> pd.DataFrame:
    there = [name for name in METRICS if name in images]
    given = images[images["state"].eq("arrived")] if "state" in images else images
    frame = given[[*PLACE, *there]].copy()
    for name in there:
        frame[name] = pd.to_numeric(frame[name], errors="coerce").astype(float)
    return frame


def _of_features(profiles: Profiles) -> pd.DataFrame:
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name in profiles.features:
        if match := _NAMED.fullmatch(name):
            parts.setdefault(match["channel"], {})[match["metric"]] = profiles.of(name)
    frames = [
        profiles.wells[["experiment", "plate", "well"]].assign(site=0, channel=channel, **metrics)
        for channel, metrics in sorted(parts.items())
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=PLACE)
