"""Screens without any failure, made of numbers, and failures of each kind to be planted in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imaging.analyses.profiles import Profiles
from tests.imaging.analyses.made_screen import make_wells

FEATURES = 40
SITES = 2
CHANNELS = ("DNA", "ER")


@dataclass
class Screen:
    """Raw wells and their images, as the tables have them."""

    profiles: Profiles
    images: pd.DataFrame

    def where(self, *, plate: str, row: str = "", column: int = 0, well: str = "") -> np.ndarray:
        """Which wells lie at a place."""
        wells = self.profiles.wells
        here = wells["plate"] == plate
        here &= (wells["row"] == row) if row else True
        here &= (wells["column"] == column) if column else True
        here &= (wells["well"] == well) if well else True
        return here.to_numpy()

    def scale_counts(self, here: np.ndarray, factor: float) -> None:
        """Cells lost, or gained, in some wells; the first tenth of the features follows."""
        counts = self.profiles.wells["cells_count"].to_numpy().copy()
        counts[here] = np.round(counts[here] * factor)
        self.profiles.wells["cells_count"] = counts
        self.profiles.values[np.ix_(here, np.arange(FEATURES // 10))] += np.log(factor)

    def images_of(self, here: np.ndarray, *, site: int = 0, channel: str = "") -> pd.Series:
        """Which images are of some wells."""
        wells = self.profiles.wells[here]
        keys = set(zip(wells["plate"], wells["well"], strict=True))
        found = pd.Series([key in keys for key in zip(self.images["plate"], self.images["well"], strict=True)])
        found &= (self.images["site"] == site) if site else True
        return found & ((self.images["channel"] == channel) if channel else True)

    def add(self, metric: str, images: pd.Series, value: float) -> None:
        """Change a metric of some images."""
        self.images.loc[images.to_numpy(), metric] += value


def make_screen(*, seed: int, plates: int = 6, shape: tuple[int, int] = (16, 24), treatments: int = 150) -> Screen:
    """A clean screen: plates differ, one of ten treatments kills cells, one glows, one of four changes features."""
    rng = np.random.default_rng(seed)
    controls = (1, 2, shape[1] - 1, shape[1])
    wells = make_wells(batches=2, plates=plates // 2, shape=shape, treatments=treatments, controls=controls, seed=seed)
    n = len(wells)
    names, treatment = np.unique(wells["treatment"], return_inverse=True)
    plate = np.unique(wells["plate"], return_inverse=True)[1]
    is_neutral = names == "DMSO"
    kills = (rng.random(len(names)) < 0.1) & ~is_neutral
    survival = np.where(kills, rng.uniform(0.02, 0.6, len(names)), rng.normal(1, 0.05, len(names)).clip(0.85, 1.1))
    survival[is_neutral] = 1.0
    level = rng.normal(0, 0.15, plates)
    counts = rng.poisson(800 * np.exp(level[plate] + rng.normal(0, 0.12, n)) * survival[treatment]).astype(float)
    mixing = rng.normal(size=(8, FEATURES)) / np.sqrt(8)
    values = rng.normal(size=(n, 8)) @ mixing + rng.normal(0, 0.5, (n, FEATURES))
    acts = ((rng.random(len(names)) < 0.25) | kills) & ~is_neutral
    values += (rng.normal(0, 2.0, (len(names), FEATURES)) * acts[:, None])[treatment]
    values += rng.normal(0, 1.0, (plates, FEATURES))[plate]
    wells["cells_count"] = counts
    glows = rng.random(len(names)) < 0.1
    images = _make_images(
        rng, wells, np.log((counts + 10) / 800), glows[treatment] & ~is_neutral[treatment], plate, plates
    )
    return Screen(Profiles(values, tuple(f"F{number:03d}" for number in range(FEATURES)), wells), images)


def _make_images(
    rng: np.random.Generator,
    wells: pd.DataFrame,
    density: np.ndarray,
    glows: np.ndarray,
    plate: np.ndarray,
    plates: int,
) -> pd.DataFrame:
    parts = []
    for number, channel in enumerate(CHANNELS):
        slope, light = rng.normal(-1.6 - 0.3 * number, 0.05, plates), rng.normal(0.08, 0.004, plates)
        for site in range(1, SITES + 1):
            noise = rng.normal(size=(3, len(wells)))
            parts.append(
                wells[["experiment", "plate", "well"]].assign(
                    site=site,
                    time_point=1,
                    channel=channel,
                    state="arrived",
                    PowerLogLogSlope=slope[plate] + 0.07 * noise[0] - 0.08 * density.clip(-3, 1),
                    PercentSaturated=rng.exponential(0.05, len(wells)) + 6.0 * glows * (channel == "ER"),
                    PercentDebris=rng.exponential(0.4, len(wells)),
                    MeanIntensity=light[plate] * np.exp(0.05 * noise[1] + 0.3 * density.clip(-2, 1)),
                    BackgroundLevel=0.02 * np.exp(0.03 * noise[2]),
                )
            )
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Planted:
    """A failure to be planted: its rule, the level it must be seen at, and what it does to a screen."""

    name: str
    rule: str
    level: str
    plant: Callable[[Screen], None]
    place: dict[str, object]


def _blur_well(screen: Screen) -> None:
    screen.add("PowerLogLogSlope", screen.images_of(screen.where(plate="P002", well="F10"), channel="DNA"), -0.9)


def _blur_site(screen: Screen) -> None:
    wells = screen.where(plate="P002", well="F11")
    for site in (3, 4):  # a well of four sites, one of them blurred
        more = screen.images[screen.images_of(wells, site=1)].assign(site=site)
        screen.images = pd.concat([screen.images, more], ignore_index=True)
    screen.add("PowerLogLogSlope", screen.images_of(wells, site=2, channel="DNA"), -0.9)


def _saturate(screen: Screen) -> None:
    screen.add("PercentSaturated", screen.images_of(screen.where(plate="P003", well="C07"), channel="ER"), 4.0)


def _spill(screen: Screen) -> None:
    screen.add("PercentDebris", screen.images_of(screen.where(plate="P004", well="K15"), channel="DNA"), 30.0)


def _lose_cells(screen: Screen) -> None:
    screen.scale_counts(screen.where(plate="P001", well=_living_well(screen, "P001")), 0.1)


def _living_well(screen: Screen, plate: str) -> str:
    """The first treated well of a plate that has as many cells as its controls."""
    wells = screen.profiles.wells
    here = wells[(wells["plate"] == plate) & (wells["control"] == "trt")]
    usual = wells.loc[(wells["plate"] == plate) & (wells["control"] == "negcon"), "cells_count"].median()
    medians = wells.groupby("treatment")["cells_count"].median()
    return str(here.loc[here["treatment"].map(medians) > 0.8 * usual, "well"].iloc[0])


def _short_row(screen: Screen) -> None:
    screen.scale_counts(screen.where(plate="P002", row="G"), 0.7)


def _short_column(screen: Screen) -> None:
    screen.scale_counts(screen.where(plate="P005", column=11), 0.65)


def _dry_edge(screen: Screen) -> None:
    wells = screen.profiles.wells
    edge = (wells["row"].isin(["A", "P"]) | wells["column"].isin([1, 24])) & (wells["plate"] == "P003")
    screen.scale_counts(edge.to_numpy(), 0.8)


def _mix_up(screen: Screen) -> None:
    here = screen.where(plate="P004", well="H12")
    screen.profiles.values[here] += np.where(np.arange(FEATURES) % 2, 8.0, -8.0)


def _dead_control_column(screen: Screen) -> None:
    screen.scale_counts(screen.where(plate="P003", column=1), 0.3)


def _dead_controls(screen: Screen) -> None:
    here = screen.where(plate="P003") & screen.profiles.is_control("negcon")
    screen.scale_counts(here, 0.1)


def _dead_plate(screen: Screen) -> None:
    screen.scale_counts(screen.where(plate="P006"), 0.05)


def _blur_plate(screen: Screen) -> None:
    screen.add("PowerLogLogSlope", screen.images_of(screen.where(plate="P006"), channel="DNA"), -1.5)


PLANTED = (
    Planted("a well out of focus", "focus", "well", _blur_well, {"plate": "P002", "well": "F10"}),
    Planted("one of four sites out of focus", "focus", "site", _blur_site, {"plate": "P002", "well": "F11", "site": 2}),
    Planted("a saturated well", "saturation", "well", _saturate, {"plate": "P003", "well": "C07"}),
    Planted("debris in a well", "debris", "well", _spill, {"plate": "P004", "well": "K15"}),
    Planted("90 % of the cells lost in one replicate", "cell_loss", "well", _lose_cells, {"plate": "P001"}),
    Planted("30 % fewer cells in a row", "pattern", "row", _short_row, {"plate": "P002", "row": "G"}),
    Planted("35 % fewer cells in a column", "pattern", "column", _short_column, {"plate": "P005", "column": 11}),
    Planted("20 % fewer cells at the edge", "pattern", "plate", _dry_edge, {"plate": "P003"}),
    Planted("a replicate with another profile", "replicates", "well", _mix_up, {"plate": "P004", "well": "H12"}),
    Planted(
        "a column of controls without cells", "controls", "column", _dead_control_column, {"plate": "P003", "column": 1}
    ),
    Planted("all controls of a plate dead", "controls", "plate", _dead_controls, {"plate": "P003"}),
    Planted("a plate without cells", "plate", "plate", _dead_plate, {"plate": "P006"}),
    Planted("a plate out of focus", "focus", "plate", _blur_plate, {"plate": "P006"}),
)


def plant_drift(screen: Screen, *, share: float) -> None:
    """Let the light fade from plate to plate, by ``share`` from the first to the last."""
    plates = sorted(screen.profiles.wells["plate"].unique())
    factors = dict(zip(plates, np.linspace(1, 1 - share, len(plates)), strict=True))
    screen.images["MeanIntensity"] *= screen.images["plate"].map(factors)


def is_found(table: pd.DataFrame, planted: Planted) -> bool:
    """Whether a table of failures has one of the rule, at the level and place where it was planted."""
    found = table[(table["rule"] == planted.rule) & (table["level"] == planted.level)]
    for name, value in planted.place.items():
        found = found[found[name] == value]
    return len(found) > 0
