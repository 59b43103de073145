"""Small images with objects of every odd kind, for families that read the values of objects' pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """Planes (c, y, x) uint16, labels (s, y, x) int32, and which set holds the others."""

    planes: np.ndarray
    labels: np.ndarray
    outer: int


def draw_nested(seed: int, shape: tuple[int, int] = (34, 41), *, channels: int = 2, ties: bool = False) -> Case:
    """Nuclei, Cells, Cytoplasm of noise: cells in pieces, on borders, of one pixel; a rim in both inner sets."""
    noise = np.random.default_rng(seed)
    cells = np.zeros(shape, np.int32)
    for label in (1, 2, 4, 5, 7):
        y, x = noise.integers(0, shape[0] - 6), noise.integers(0, shape[1] - 6)
        cells[y : y + noise.integers(2, 18), x : x + noise.integers(2, 18)] = label
    cells[-1, -1] = 8
    cells[noise.random(shape) < 0.1] = 0
    nuclei = np.where(noise.random(shape) < 0.4, cells, 0)
    cytoplasm = np.where((nuclei == 0) | (noise.random(shape) < 0.2), cells, 0)
    nuclei[cells == 2] = 0
    cytoplasm[cells == 4] = 0
    greatest = 40 if ties else 60_000
    planes = noise.integers(0, greatest, (channels, *shape))
    return Case(planes.astype(np.uint16), np.stack([nuclei, cells, cytoplasm]).astype(np.int32), 1)


def _flat(value: int, labels: np.ndarray) -> Case:
    return Case(np.full((1, *labels.shape[1:]), value, np.uint16), labels.astype(np.int32), 0)


def _list_cases() -> dict[str, Case]:
    several = draw_nested(1)
    ties = draw_nested(2, ties=True)
    noise = np.random.default_rng(5)
    spread = np.where(noise.random((1, 30, 33)) < 0.5, noise.integers(0, 65_536, (1, 30, 33)), 65_535)
    many = np.arange(1, 31).reshape(1, 5, 6)
    return {
        "three sets": several,
        "three sets, few values": ties,
        "outer set first": Case(several.planes, several.labels[[1, 0, 2]], 0),
        "two sets": Case(ties.planes, ties.labels[:2], 1),
        "one set of three channels": Case(draw_nested(4, channels=3).planes, several.labels[:1], 0),
        "absent from every set": Case(several.planes, np.where(several.labels == 5, 0, several.labels), 1),
        "fills the plane, every level": Case(spread.astype(np.uint16), np.ones((1, 30, 33), np.int32), 0),
        "one pixel each": Case(noise.integers(0, 900, (1, 5, 6)).astype(np.uint16), many.astype(np.int32), 0),
        "black": _flat(0, several.labels[:1]),
        "saturated": _flat(65_535, several.labels[:1]),
        "plane of one pixel": _flat(7, np.ones((1, 1, 1))),
        "two sides of the median": Case(
            np.array([[[999, 1002, 1002, 1005]]], np.uint16), np.ones((1, 1, 4), np.int32), 0
        ),
        "no object": _flat(7, np.zeros((2, 4, 4))),
        "no channel": Case(np.zeros((0, *several.labels.shape[1:]), np.uint16), several.labels, 1),
    }


CASES = _list_cases()
