"""Simulated sites under a known field: cells, now and then debris, background of varying level, shot noise."""

from __future__ import annotations

import numpy as np

FIELDS = ("vignette", "harmony", "tilt", "spot")


def make_field(name: str, side: int) -> np.ndarray:
    """A field, shape ``(side, side)``, relative brightness."""
    y, x = (np.indices((side, side)) + 0.5) / side - 0.5
    if name == "vignette":
        return 1 - 0.6 * ((x - 0.1) ** 2 + (y + 0.05) ** 2)
    if name == "harmony":  # the background of a real Operetta plate
        return (
            1.1282 - 0.0165 * x + 0.0298 * y - 0.8004 * x * x - 0.0792 * x * y - 0.2953 * y * y
            - 0.3127 * x**3 + 0.1014 * x * x * y - 0.0155 * x * y * y + 0.0063 * y**3
            - 0.7439 * x**4 + 0.2779 * x**3 * y - 1.4485 * x * x * y * y - 0.2966 * x * y**3 - 1.4036 * y**4
        )  # fmt: skip
    if name == "tilt":
        return (1 + 0.3 * x) * np.cos(0.9 * np.hypot(x, y)) ** 4
    return 0.7 + 0.5 * np.exp(-((x - 0.15) ** 2 + (y - 0.1) ** 2) / 0.18)


def draw_site(rng: np.random.Generator, field: np.ndarray, *, cells: int, background: float = 400.0) -> np.ndarray:
    """One site, uint16, the shape of the field."""
    side = len(field)
    plane = np.full(field.shape, background * rng.uniform(0.9, 1.15))
    for _ in range(cells):
        _add_disk(plane, rng.uniform(0, side, 2), side / 40 * rng.uniform(0.6, 1.4), 1500 * rng.lognormal(0, 0.5))
    if rng.random() < 0.2:
        _add_disk(plane, rng.uniform(0, side, 2), side / 20, 30_000)
    plane *= field
    return (plane + rng.normal(0, np.sqrt(plane))).clip(0, 65535).astype(np.uint16)


def _add_disk(plane: np.ndarray, middle: np.ndarray, radius: float, brightness: float) -> None:
    (y, x), reach = middle, int(3 * radius) + 1
    rows = slice(max(int(y) - reach, 0), int(y) + reach + 1)
    columns = slice(max(int(x) - reach, 0), int(x) + reach + 1)
    down, right = np.ogrid[rows.start : min(rows.stop, len(plane)), columns.start : min(columns.stop, len(plane))]
    distance = ((down - y) ** 2 + (right - x) ** 2) / radius**2
    plane[rows, columns] += brightness * np.exp(-(distance**2))
