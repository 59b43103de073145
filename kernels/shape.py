"""Size, place and form of labelled objects (CellProfiler's AreaShape)."""

import numpy as np

from kernels.distances import measure_distance
from kernels.objects import ObjectPixels, divide, inner_edge
from kernels.planes import Floats, Labels

SHAPE_FEATURES: dict[str, tuple[str, str]] = {
    "Area": ("px", "Number of pixels."),
    "BoundingBoxArea": ("px", "Area of the smallest upright rectangle around the object."),
    "BoundingBoxMaximum_X": ("px", "First column right of the object."),
    "BoundingBoxMaximum_Y": ("px", "First row below the object."),
    "BoundingBoxMinimum_X": ("px", "Leftmost column of the object."),
    "BoundingBoxMinimum_Y": ("px", "Uppermost row of the object."),
    "Center_X": ("px", "Mean column of the pixels."),
    "Center_Y": ("px", "Mean row of the pixels."),
    "Compactness": ("1", "Perimeter squared over 4 pi Area."),
    "Eccentricity": ("1", "Of the ellipse with the object's second moments: 0 for a circle, towards 1 for a line."),
    "EquivalentDiameter": ("px", "Diameter of the circle with the object's area."),
    "EulerNumber": ("1", "Pieces minus holes, pixels joined over edges and corners."),
    "Extent": ("1", "Area over BoundingBoxArea."),
    "FormFactor": ("1", "4 pi Area over Perimeter squared: 1 for a circle."),
    "MajorAxisLength": ("px", "Long axis of the ellipse with the object's second moments."),
    "MaximumRadius": ("px", "Greatest distance of a pixel to the nearest pixel outside the object."),
    "MeanRadius": ("px", "Mean distance of the pixels to the nearest pixel outside the object."),
    "MedianRadius": ("px", "Median distance of the pixels to the nearest pixel outside the object."),
    "MinorAxisLength": ("px", "Short axis of the ellipse with the object's second moments."),
    "Orientation": (
        "deg",
        "Angle of the long axis to the vertical, -90 to 90, positive towards the lower right; -45 if round.",
    ),
    "Perimeter": ("px", "Length of the line through the centres of the outermost pixels."),
}
"""Unit and definition of each feature. The formulas are CellProfiler 4.2's, which are scikit-image's regionprops."""


def measure_shape(labels: Labels, pixels: ObjectPixels) -> dict[str, Floats]:
    """Measure size, place and form.

    Parameters
    ----------
    labels
        Label image, shape ``(y, x)``.
    pixels
        The pixels of the same labels.

    Returns
    -------
    One array per name of ``SHAPE_FEATURES``, shape ``(pixels.count,)``, float64. NaN for absent labels, and where a
    ratio has no denominator: FormFactor of a single pixel (its Perimeter is 0).
    """
    area = np.where(pixels.is_present, pixels.area, np.nan)
    top, bottom, left, right = _bounding_boxes(pixels)
    perimeter = _perimeter(labels, pixels)
    box_area = (bottom - top) * (right - left)
    features = {
        "Area": area,
        "BoundingBoxArea": box_area,
        "BoundingBoxMaximum_X": right,
        "BoundingBoxMaximum_Y": bottom,
        "BoundingBoxMinimum_X": left,
        "BoundingBoxMinimum_Y": top,
        "Center_X": pixels.mean(pixels.x),
        "Center_Y": pixels.mean(pixels.y),
        "Compactness": perimeter**2 / (4 * np.pi * area),
        "EquivalentDiameter": np.sqrt(4 * area / np.pi),
        "EulerNumber": _euler_number(labels, pixels),
        "Extent": area / box_area,
        "FormFactor": divide(4 * np.pi * area, perimeter**2),
        "Perimeter": perimeter,
        **_ellipse(pixels, top, left),
        **_radii(labels, np.stack([top, bottom, left, right], axis=1)),
    }
    return {name: features[name] for name in SHAPE_FEATURES}


def _bounding_boxes(pixels: ObjectPixels) -> tuple[Floats, Floats, Floats, Floats]:
    boxes = np.full((4, pixels.count), np.nan)
    present = pixels.is_present
    start = pixels.start[present]
    if start.size:
        boxes[0, present] = np.minimum.reduceat(pixels.y, start)
        boxes[1, present] = np.maximum.reduceat(pixels.y, start) + 1
        boxes[2, present] = np.minimum.reduceat(pixels.x, start)
        boxes[3, present] = np.maximum.reduceat(pixels.x, start) + 1
    top, bottom, left, right = boxes
    return top, bottom, left, right


def _ellipse(pixels: ObjectPixels, top: Floats, left: Floats) -> dict[str, Floats]:
    """Second moments without the 1/12 of a pixel's own extent, as regionprops."""
    y, x = pixels.y - top[pixels.owner], pixels.x - left[pixels.owner]
    mean_y, mean_x = pixels.mean(y), pixels.mean(x)
    # whole numbers, so that equal moments of symmetric objects compare equal
    yy = divide(pixels.area * pixels.sum(y * y) - pixels.sum(y) ** 2, pixels.area**2)
    xx = divide(pixels.area * pixels.sum(x * x) - pixels.sum(x) ** 2, pixels.area**2)
    xy = pixels.mean((y - mean_y[pixels.owner]) * (x - mean_x[pixels.owner]))
    middle, half_gap = (yy + xx) / 2, np.sqrt(4 * xy**2 + (yy - xx) ** 2) / 2
    long, short = middle + half_gap, np.maximum(middle - half_gap, 0)
    angle = np.where(yy == xx, np.where(xy > 0, np.pi / 4, -np.pi / 4), 0.5 * np.arctan2(2 * xy, yy - xx))
    return {
        "Eccentricity": np.where(long == 0, 0.0, np.sqrt(1 - divide(short, long))),
        "MajorAxisLength": 4 * np.sqrt(long),
        "MinorAxisLength": 4 * np.sqrt(short),
        "Orientation": np.where(pixels.is_present, np.degrees(angle), np.nan),
    }


def _perimeter(labels: Labels, pixels: ObjectPixels) -> Floats:
    """Perimeter of Benkrid and Crookes (2000) as in scikit-image, 4-connected outline, all objects at once."""
    padded = np.pad(labels, 1)
    outline = np.where(inner_edge(padded), padded, 0).ravel()
    positions = np.flatnonzero(outline)
    width = padded.shape[1]
    straight = sum((outline[positions + step] == outline[positions]).astype(np.intp) for step in (-width, -1, 1, width))
    diagonal = sum(
        (outline[positions + step] == outline[positions]).astype(np.intp)
        for step in (-width - 1, -width + 1, width - 1, width + 1)
    )
    length = _OUTLINE_LENGTH[straight, diagonal]
    total = np.bincount(outline[positions] - 1, weights=length, minlength=pixels.count)
    return np.where(pixels.is_present, total, np.nan)


# length that an outline pixel stands for, by its numbers of straight and of diagonal outline neighbours
_OUTLINE_LENGTH = np.zeros((5, 5))
for _straight, _diagonal in ((2, 0), (3, 0), (2, 1), (3, 1), (2, 2), (3, 2)):
    _OUTLINE_LENGTH[_straight, _diagonal] = 1
for _straight, _diagonal in ((0, 2), (1, 3)):
    _OUTLINE_LENGTH[_straight, _diagonal] = np.sqrt(2)
for _straight, _diagonal in ((1, 1), (1, 2)):
    _OUTLINE_LENGTH[_straight, _diagonal] = (1 + np.sqrt(2)) / 2


def _euler_number(labels: Labels, pixels: ObjectPixels) -> Floats:
    """Corners - sides + pixels of each object as a set of closed squares, i.e. 8-connected."""
    padded = np.pad(labels, 1)
    corners = _count(padded[:-1, :-1], pixels)
    quad = (padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:])
    for index in range(1, 4):
        is_new = np.all([quad[index] != earlier for earlier in quad[:index]], axis=0)
        corners += _count(quad[index][is_new], pixels)
    shared = _count(labels[1:][labels[1:] == labels[:-1]], pixels)
    shared += _count(labels[:, 1:][labels[:, 1:] == labels[:, :-1]], pixels)
    sides = 4 * pixels.area - shared
    return np.where(pixels.is_present, corners - sides + pixels.area, np.nan)


def _count(labels: Labels, pixels: ObjectPixels) -> Floats:
    return np.bincount(labels.ravel(), minlength=pixels.count + 1)[1:].astype(np.float64)


def _radii(labels: Labels, boxes: Floats) -> dict[str, Floats]:
    greatest, mean, median = np.full((3, len(boxes)), np.nan)
    padded = np.pad(labels, 1)  # what lies beyond the plane is outside the object
    for index in np.flatnonzero(np.isfinite(boxes[:, 0])):
        top, bottom, left, right = boxes[index].astype(int)
        inside = padded[top : bottom + 2, left : right + 2] == index + 1
        distance = measure_distance(inside.astype(np.uint8))
        radii = np.sort(distance[inside])
        greatest[index], mean[index] = radii[-1], radii.mean(dtype=np.float64)
        median[index] = (float(radii[(radii.size - 1) // 2]) + float(radii[radii.size // 2])) / 2
    return {"MaximumRadius": greatest, "MeanRadius": mean, "MedianRadius": median}
