"""Compile the kernels of this machine's CPU, or load what was compiled before: ``python -m imaging.warm_up``.

Compiling takes a minute and a half of one core and is done once per machine where its cache can be written; loading
takes two seconds. The work is divided among processes, as numba compiles in one thread.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from imaging.feature_recipe import ALL_FAMILIES
from imaging.measure import measure_planes
from imaging.recipes import Recipe

_TINY_PX = 80
_ALONE = ("Texture", "AreaShape", "RadialDistribution", "Intensity", "Correlation", "Granularity", "Neighbors", "")
"""What is compiled by itself, the longest first: a family, or segmentation and image quality alone."""


def warm_up(families: tuple[str, ...] = ALL_FAMILIES) -> None:
    """Measure two tiny sites, so that the first real one does not wait for compilers.

    Parameters
    ----------
    families
        Families of features that are measured.
    """
    channels = [{"name": name, "role": role, "full_scale": 255} for name, role in (("N", "nucleus"), ("C", "cell"))]
    features = {"families": list(families), "whole_images": bool(families)}
    recipe = Recipe.model_validate({"nuclei": {"diameter_px": [6, 30]}, "cells": {}, "features": features})
    pins: dict[str, Any] = {"channels": channels, "pixel_size_um": None, "recipe": recipe.model_dump(mode="json")}
    y, x = np.mgrid[:_TINY_PX, :_TINY_PX]
    spot = 200 * np.exp(-((y - _TINY_PX / 2) ** 2 + (x - _TINY_PX / 2) ** 2) / 100)
    for dtype in (np.uint8, np.uint16):
        measure_planes(dict.fromkeys(("N", "C"), spot.astype(dtype)), {"pixels": pins})


def compile_kernels() -> None:
    """Compile all kernels into the cache, in as many processes as there are cores."""
    with ProcessPoolExecutor(min(len(_ALONE), os.cpu_count() or 1), get_context("spawn")) as pool:
        list(pool.map(warm_up, [(family,) if family else () for family in _ALONE]))


if __name__ == "__main__":
    compile_kernels()
