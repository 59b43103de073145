"""MeasureGranularity of CellProfiler 4.2 written down literally: sixteen reconstructions, each stretched and averaged.

Images are float32, as CellProfiler's; what is averaged is float64, so that ours must be the same to eight digits.
Nothing of ours is used.
"""

from __future__ import annotations

import itertools

import numpy as np
import scipy.ndimage
import skimage.morphology

STEPS = 16
CROSS = skimage.morphology.disk(1, dtype=bool)


def measure(plane: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Granularity of the objects of a label image, shape (16, k), and of the image, shape (16,)."""
    pixels = plane.astype(np.float32) / np.float32(65535)
    numbers = np.arange(1, labels.max(initial=0) + 1)
    half = np.array(plane.shape) * 0.5
    image = take_background(sample(pixels, half), half)
    object_means = [average(plane / 65535, labels, numbers)]
    image_means = [image.mean(dtype=np.float64)]
    eroded = image
    for _ in range(STEPS):
        eroded = skimage.morphology.erosion(eroded, CROSS)
        grown = skimage.morphology.reconstruction(eroded, image, footprint=CROSS)
        image_means.append(grown.mean(dtype=np.float64))
        stretched = stretch(grown.astype(np.float64), half, np.array(plane.shape))
        object_means.append(average(stretched, labels, numbers))
    return spectrum(np.array(object_means)), spectrum(np.array(image_means))


def average(pixels: np.ndarray, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # numbers that no pixel has
        return np.asarray(scipy.ndimage.mean(pixels, labels, numbers))


def sample(pixels: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Every second pixel, by coordinates; the shape may be no whole number."""
    i, j = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float) / 0.5
    return scipy.ndimage.map_coordinates(pixels, (i, j), order=1)


def stretch(pixels: np.ndarray, shape: np.ndarray, onto: np.ndarray) -> np.ndarray:
    i, j = np.mgrid[0 : onto[0], 0 : onto[1]].astype(float)
    i *= float(shape[0] - 1) / float(onto[0] - 1)
    j *= float(shape[1] - 1) / float(onto[1] - 1)
    return scipy.ndimage.map_coordinates(pixels, (i, j), order=1)


def take_background(image: np.ndarray, shape: np.ndarray) -> np.ndarray:
    quarter = shape * 0.5
    disk = skimage.morphology.disk(10, dtype=bool)
    background = sample(image, quarter)
    # CellProfiler mirrors the border, which changes nothing for a disk; scipy's mirror fails at two pixels
    background = scipy.ndimage.minimum_filter(background, footprint=disk, mode="constant", cval=np.inf)
    background = scipy.ndimage.maximum_filter(background, footprint=disk, mode="constant", cval=-np.inf)
    left = image - stretch(background, quarter, shape)
    left[left < 0] = 0
    return left


def spectrum(means: np.ndarray) -> np.ndarray:
    start = np.maximum(means[0], np.finfo(float).eps)
    return np.array([(before - after) * 100 / start for before, after in itertools.pairwise(means)])
