"""Quality rules as an experiment declares them: fixed limits, and limits relative to what is typical.

    Limit     a value outside fixed bounds is wrong, whatever the others are
    Outlier   a value unlike its plate's wells, or a plate unlike the experiment's earlier plates, is suspicious

`Rules` holds those of an experiment with the defaults of what it says nothing about. ``imaging.judging`` applies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from imaging.declared import Declared, did_you_mean
from kernels.image_quality import describe_image_metrics

IMAGE_METRICS = tuple(metric.name for metric in describe_image_metrics())
"""Metrics of an image that a rule can name; ``kernels.image_quality`` measures them."""

COUNTS = ("nuclei_count", "cells_count")
"""Numbers of a site that an outlier rule can name; they have no channel."""

Against = Literal["plate", "history"]


class Limit(Declared):
    """Fixed limits of one image metric: outside them an image warns or fails."""

    metric: str = Field(description="an image metric such as PercentSaturated")
    channel: str | None = Field(None, description="the channel it holds for; left out, all of them")
    warn_below: float | None = None
    warn_above: float | None = None
    fail_below: float | None = None
    fail_above: float | None = None

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in IMAGE_METRICS:
            raise ValueError(f"{metric!r} is no image metric; {did_you_mean(metric, IMAGE_METRICS)}")
        return metric


class Outlier(Declared):
    """How far from what is typical a value may lie, in robust standard deviations (``imaging.typical``).

    Against the plate, each image (or site, for a count) is compared with the plate's wells. Such a rule can never call
    a plate's own typical state wrong: a plate that is blurred or empty throughout needs a limit or the history.
    Against the history, the plate's median is compared with those of the experiment's earlier plates.
    """

    metric: str = Field(description="an image metric such as PowerLogLogSlope, nuclei_count or cells_count")
    channel: str | None = Field(None, description="the channel it holds for; left out, all of them")
    against: Against = Field(
        "plate", description="plate: images against the plate's wells; history: the plate against earlier plates"
    )
    side: Literal["low", "high", "both"] = Field("both", description="which side is wrong: low, high or both")
    warn_z: float | None = Field(None, gt=0, description="robust standard deviations beyond which it warns")
    fail_z: float | None = Field(None, gt=0, description="robust standard deviations beyond which it fails")
    min_difference: float = Field(
        0.0, ge=0, description="what a value must differ from the typical one at least, in the metric's unit"
    )

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in (*IMAGE_METRICS, *COUNTS):
            hint = did_you_mean(metric, (*IMAGE_METRICS, *COUNTS))
            raise ValueError(f"{metric!r} is neither an image metric nor a count; {hint}")
        return metric

    def holds_for(self, channel: str | None) -> bool:
        """Whether it holds for a channel, or for a site as a whole (``None``)."""
        if self.metric in COUNTS:
            return channel is None
        return channel is not None and self.channel in (None, channel)


DEFAULT_LIMITS = (Limit(metric="PercentSaturated", channel=None, warn_above=1.0),)
"""Limits of metrics that a declaration says nothing about, in the metric's unit."""
NUCLEUS_LIMITS = (Limit(metric="EmptyImage", channel=None, warn_above=0.0),)
"""Those of the nuclei's channel besides: a reporter may be silent, and transmitted light has no background. It warns
and does not fail, as a compound may have killed all cells of a site."""


def default_outliers(nucleus: str | None) -> tuple[Outlier, ...]:
    """Outlier rules of a plate whose nuclei are stained in this channel: blurred images, and plates blurred throughout.

    The slope of the power spectrum falls with blur. On the 48 wells of BBBC013 it stays within 2.3 robust standard
    deviations (0.11) of the plate's wells. A Gaussian blur of 1.5 pixels moves it by 5 to 9 of them (0.25 to 0.45), one
    of 2 pixels by 10 to 15 (0.5 to 0.7). In-focus planes of BBBC006 have -1.2 to -1.9, far defocused ones -2.6 to -3.5.
    No fixed limit serves all: sharp nuclei at another magnification have -2.7. It falls with the number of nuclei too,
    by up to 0.4 from a few to hundreds: a difference below 0.5 is not taken for blur.
    """
    if nucleus is None:
        return ()
    given: dict[str, Any] = {"metric": "PowerLogLogSlope", "channel": nucleus, "side": "low"}
    limits: dict[str, Any] = {"warn_z": 5, "fail_z": 10, "min_difference": 0.5}
    return tuple(Outlier(**given, **limits, against=against) for against in ("plate", "history"))


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of an experiment: declared ``limits``, ``outliers`` with their defaults, the channel of the nuclei."""

    limits: tuple[Limit, ...] = ()
    outliers: tuple[Outlier, ...] = ()
    nucleus: str | None = None

    def limits_for(self, channel: str) -> list[Limit]:
        """Limits that hold for a channel: declared ones, and defaults of metrics without one."""
        declared = [limit for limit in self.limits if limit.channel in (None, channel)]
        defaults = (*DEFAULT_LIMITS, *(NUCLEUS_LIMITS if channel == self.nucleus else ()))
        named = {limit.metric for limit in declared}
        return [*declared, *(limit for limit in defaults if limit.metric not in named)]

    def outliers_for(self, channel: str | None, against: Against) -> list[Outlier]:
        """Outlier rules that hold for a channel, or for a site's counts (``None``)."""
        return [rule for rule in self.outliers if rule.against == against and rule.holds_for(channel)]

    def as_json(self) -> dict[str, Any]:
        """All that verdicts depend on, defaults included, JSON-able."""
        defaults = {"default_limits": DEFAULT_LIMITS, "nucleus_limits": NUCLEUS_LIMITS if self.nucleus else ()}
        kinds = {"limits": self.limits, **defaults, "outliers": self.outliers}
        return {kind: [rule.model_dump(mode="json") for rule in rules] for kind, rules in kinds.items()} | {
            "nucleus": self.nucleus
        }


def collect_rules(limits: Sequence[Limit], outliers: Sequence[Outlier], *, nucleus: str | None) -> Rules:
    """Complete declared rules by the defaults of what they do not name.

    Parameters
    ----------
    limits, outliers
        As declared. An outlier rule takes the place of a default of the same metric, channel and reference.
    nucleus
        The channel that shows the nuclei, if there is one.
    """

    def is_named(default: Outlier) -> bool:
        return any(
            (rule.metric, rule.against) == (default.metric, default.against) and rule.holds_for(default.channel)
            for rule in outliers
        )

    defaults = (rule for rule in default_outliers(nucleus) if not is_named(rule))
    return Rules(tuple(limits), (*outliers, *defaults), nucleus)
