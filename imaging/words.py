"""Metrics in words, as the sentences of verdicts need them."""

from __future__ import annotations

from kernels.image_quality import describe_image_metrics

_UNITS = {metric.name: metric.unit for metric in describe_image_metrics()}
_SENTENCES = {
    "PercentSaturated": "{} % of pixels are saturated",
    "PercentMaximal": "{} % of pixels have the image's highest value",
    "PercentMinimal": "{} % of pixels have the image's lowest value",
    "PercentDebris": "{} % of the image is debris",
    "FocusScore": "the focus score is {}",
    "PowerLogLogSlope": "the power slope is {}",
    "StdIntensity": "the contrast (StdIntensity) is {}",
    "MeanIntensity": "the mean intensity is {}",
    "MedianIntensity": "the median intensity is {}",
    "BackgroundLevel": "the background level is {}",
    "BackgroundGradient": "the background varies by {} % over the image",
    "nuclei_count": "{} nuclei were found",
    "cells_count": "{} cells were found",
}
_SCALED = {
    "LocalFocusScore": "the local focus score in tiles of {} px is {}",
    "Correlation": "the correlation of pixels {} px apart is {}",
}
_MEANINGS = {("PowerLogLogSlope", "low"): ": the {} looks blurred, or holds bright debris"}
_SUBJECTS = {"nuclei_count": "the number of nuclei", "cells_count": "the number of cells"}
_ONE = {"nuclei_count": "1 nucleus was found", "cells_count": "1 cell was found"}


def say_value(metric: str, value: float) -> str:
    """A measured value as a clause: ``the power slope is -3.1``, ``2.4 % of pixels are saturated``."""
    family, _, scale = metric.partition("_")
    if value == 1 and metric in _ONE:
        return _ONE[metric]
    if metric in _SENTENCES:
        return _SENTENCES[metric].format(show_number(value))
    if family in _SCALED and scale:
        return _SCALED[family].format(scale, show_number(value))
    return f"{metric} is {show_number(value)}"


def say_meaning(metric: str, side: str, what: str) -> str:
    """End of a sentence: what a value on this side (``low``, ``high``) usually says of the image or plate, if known."""
    return _MEANINGS.get((metric, side), "").format(what)


def name_metric(metric: str, channel: str | None) -> str:
    """A metric of a channel as the subject of a sentence: ``PowerLogLogSlope of DNA``, ``the number of nuclei``."""
    subject = _SUBJECTS.get(metric, metric)
    return f"{subject} of {channel}" if channel else subject


def show_limit(metric: str, limit: float) -> str:
    """A limit as it was declared, with its unit if that is per cent."""
    return f"{limit:g}{_percent(metric)}"


def show_value(metric: str, value: float) -> str:
    """A value in three digits, with its unit if that is per cent."""
    return f"{show_number(value)}{_percent(metric)}"


def show_number(value: float) -> str:
    """A number in three digits, whole from a thousand on: ``0.00123``, ``-2.1``, ``12,345``."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def _percent(metric: str) -> str:
    return " %" if _UNITS.get(metric) == "%" else ""
