"""Compile the kernels of this machine's CPU, or load what was compiled before: ``python -m imaging.warm_up``.

Compiling takes a minute and a half of one core and is done once per machine where its cache can be written; loading
takes two seconds. The work is divided among processes, as numba compiles in one thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numba
import numpy as np

import kernels
from imaging.feature_recipe import ALL_FAMILIES
from imaging.measure import measure_planes
from imaging.recipes import Recipe, take_preset
from kernels.fields import background_field, mean_field, weigh_background
from kernels.illumination import correct_planes, make_gains

_TINY_PX = 80
_ALONE = ("Texture", "AreaShape", "RadialDistribution", "Intensity", "Correlation", "Granularity", "Neighbors", "")
"""What is compiled by itself, the longest first: a family, or segmentation and image quality alone."""


def warm_up(families: tuple[str, ...] = ALL_FAMILIES, *, preset: str | None = None) -> None:
    """Measure two tiny sites, so that the first real one does not wait for compilers.

    Parameters
    ----------
    families
        Families of features that are measured.
    preset
        Preset of the recipe; without one the automatic method finds the objects.
    """
    channels = [{"name": name, "role": role, "full_scale": 255} for name, role in (("N", "nucleus"), ("C", "cell"))]
    features = {"families": list(families), "whole_images": bool(families)}
    declared = {"nuclei": {"diameter_px": [6, 30]}, "cells": {}, "features": features}
    recipe = Recipe.model_validate(take_preset(declared | ({"preset": preset} if preset else {})))
    pins: dict[str, Any] = {"channels": channels, "pixel_size_um": None, "recipe": recipe.model_dump(mode="json")}
    spot = _spots()
    for dtype in (np.uint8, np.uint16):
        measure_planes(dict.fromkeys(("N", "C"), spot.astype(dtype)), {"pixels": pins})


def warm_up_illumination() -> None:
    """Estimate a tiny field by both methods and correct planes by it."""
    for dtype in (np.uint8, np.uint16):
        plane = (_spots() + 50).astype(dtype)
        sums = weigh_background(plane).astype(np.uint64)
        background_field(sums, (sums > 0).astype(np.uint64))
        field = mean_field(plane.astype(np.uint64))
        assert field is not None  # every pixel is above 0
        gains = make_gains(field, factor=1, height=_TINY_PX, width=_TINY_PX)
        correct_planes(plane[None], gains[None])


def _spots() -> np.ndarray:
    """Two bright spots that touch, on black, shape (y, x), float64, 0 to 200."""
    y, x = np.mgrid[:_TINY_PX, :_TINY_PX]
    left, right = (200 * np.exp(-((y - 40) ** 2 + (x - middle) ** 2) / 60) for middle in (32, 46))
    return np.clip(left + right, 0, 200)


def is_compiled() -> bool:
    """Whether kernels were compiled for this machine before, as far as their usual cache tells."""
    folder = Path(getattr(numba.config, "CACHE_DIR", "") or Path(kernels.__file__).parent)
    return next(folder.rglob("*.nbi"), None) is not None


def compile_kernels() -> None:
    """Compile all kernels into the cache, in as many processes as there are cores."""
    work: list[Callable[[], None]] = [partial(warm_up, (family,) if family else ()) for family in _ALONE]
    work += [partial(warm_up, (), preset="jump"), warm_up_illumination]
    with ProcessPoolExecutor(min(len(work), os.cpu_count() or 1), get_context("spawn")) as pool:
        for each in [pool.submit(each) for each in work]:
            each.result()


if __name__ == "__main__":
    compile_kernels()
