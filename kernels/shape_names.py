"""Names, units and definitions of AreaShape, in the order in which ``kernels/shape.py`` writes its values."""

from __future__ import annotations

from kernels.feature import Feature
from kernels.zernike import DEGREES

_MODULE = "CellProfiler MeasureObjectSizeShape"
_SKIMAGE = f"{_MODULE}, by scikit-image's regionprops"
_CENTROSOME = f"{_MODULE}, by centrosome"

_FORM: dict[str, tuple[str, str, str, str]] = {
    "Area": ("px2", "Number of pixels.", "", _SKIMAGE),
    "BoundingBoxArea": ("px2", "Area of the smallest upright rectangle around the object.", "", _SKIMAGE),
    "BoundingBoxMaximum_X": ("px", "First column right of the object.", "", _SKIMAGE),
    "BoundingBoxMaximum_Y": ("px", "First row below the object.", "", _SKIMAGE),
    "BoundingBoxMinimum_X": ("px", "Leftmost column of the object.", "", _SKIMAGE),
    "BoundingBoxMinimum_Y": ("px", "Uppermost row of the object.", "", _SKIMAGE),
    "Center_X": ("px", "Mean column of the pixels.", "", _SKIMAGE),
    "Center_Y": ("px", "Mean row of the pixels.", "", _SKIMAGE),
    "Compactness": ("1", "Perimeter squared over 4 pi Area.", "", _MODULE),
    "ConvexArea": (
        "px2",
        "Number of pixels whose centres lie in the convex hull of the pixels, each a diamond of unit diagonals, or on "
        "its rim.",
        "",
        _SKIMAGE,
    ),
    "Eccentricity": (
        "1",
        "Eccentricity of the ellipse with the object's second moments: 0 for a circle or a single pixel, 1 for a line.",
        "",
        _SKIMAGE,
    ),
    "EquivalentDiameter": ("px", "Diameter of the circle with the object's area.", "", _SKIMAGE),
    "EulerNumber": ("1", "Pieces less holes, pixels joined over edges and corners.", "", _SKIMAGE),
    "Extent": ("1", "Area over BoundingBoxArea.", "", _SKIMAGE),
    "FormFactor": (
        "1",
        "4 pi Area over Perimeter squared: about 1 for a circle.",
        "the object's Perimeter is 0 (one or two pixels; CellProfiler has infinity)",
        _MODULE,
    ),
    "MajorAxisLength": ("px", "Long axis of the ellipse with the object's second moments.", "", _SKIMAGE),
    "MaxFeretDiameter": ("px", "Greatest distance between the centres of two pixels.", "", _CENTROSOME),
    "MaximumRadius": ("px", "Greatest distance of a pixel to the nearest pixel outside the object.", "", _MODULE),
    "MeanRadius": ("px", "Mean distance of the pixels to the nearest pixel outside the object.", "", _MODULE),
    "MedianRadius": ("px", "Median distance of the pixels to the nearest pixel outside the object.", "", _MODULE),
    "MinFeretDiameter": (
        "px",
        "Least distance between two parallel lines that hold the centres of all pixels between them.",
        "",
        _CENTROSOME,
    ),
    "MinorAxisLength": ("px", "Short axis of the ellipse with the object's second moments.", "", _SKIMAGE),
    "Orientation": (
        "deg",
        "Angle of the long axis to the vertical, -90 to 90, positive towards the lower right; where the second moments "
        "along rows and columns are equal, -45 if the long axis runs to the lower right and else 45, as in "
        "scikit-image 0.18.",
        "",
        _SKIMAGE,
    ),
    "Perimeter": (
        "px",
        "Length of the line through the centres of the outermost pixels, by Benkrid and Crookes' table of neighbours; "
        "0 for one or two pixels.",
        "",
        _SKIMAGE,
    ),
    "Solidity": ("1", "Area over ConvexArea.", "", _SKIMAGE),
}

FORM = len(_FORM)
"""Number of features before the Zernike moments."""


def shape_names(*, moments: bool) -> list[str]:
    """Give the names without ``AreaShape_``."""
    return [name for name, *_ in _entries(moments=moments)]


def describe_shape(*, moments: bool = False) -> list[Feature]:
    """Describe the columns of ``kernels.shape.measure_shape``, in their order."""
    return [
        Feature(
            f"AreaShape_{name}",
            "AreaShape",
            "",
            unit,
            definition,
            null_when,
            source,
        )
        for name, unit, definition, null_when, source in _entries(moments=moments)
    ]


def _entries(*, moments: bool) -> list[tuple[str, str, str, str, str]]:
    entries = [(name, *rest) for name, rest in _FORM.items()]
    for n, m in DEGREES:
        definition = (
            f"Magnitude of the Zernike moment of degree {n} and repetition {m} of the pixels in the smallest circle "
            "around their centres, over the circle's area."
        )
        entries.append(
            (f"Zernike_{n}_{m}", "1", definition, "the object is a single pixel, without such a circle", _CENTROSOME)
        )
    return [*entries, *_moment_entries()] if moments else entries


def _moment_entries() -> list[tuple[str, str, str, str, str]]:
    entries = []
    powers = [(p, q) for p in range(4) for q in range(4)]
    for p, q in powers[:12]:
        definition = f"Sum of y^{p} x^{q} over the pixels, from the upper left corner of the bounding box."
        entries.append((f"SpatialMoment_{p}_{q}", f"px{p + q + 2}", definition, "", _SKIMAGE))
    for p, q in powers[:12]:
        definition = f"Sum of y^{p} x^{q} over the pixels, from their centre."
        entries.append((f"CentralMoment_{p}_{q}", f"px{p + q + 2}", definition, "", _SKIMAGE))
    for p, q in powers:
        definition = f"Sum of y^{p} x^{q} over the pixels, from their centre, over Area^{(p + q) / 2 + 1:g}."
        null_when = "" if p + q >= 2 else "always: it is defined from the second order on"
        entries.append((f"NormalizedMoment_{p}_{q}", "1", definition, null_when, _SKIMAGE))
    for index in range(7):
        definition = f"Hu's invariant {index + 1} of 7 of the normalised moments (1962)."
        entries.append((f"HuMoment_{index}", "1", definition, "", _SKIMAGE))
    tensor = (
        ("InertiaTensor_0_0", "Mean square of the distance to the centre along x."),
        ("InertiaTensor_0_1", "Mean product of the distances to the centre along y and x, negative."),
        ("InertiaTensor_1_0", "Mean product of the distances to the centre along y and x, negative."),
        ("InertiaTensor_1_1", "Mean square of the distance to the centre along y."),
        ("InertiaTensorEigenvalues_0", "Greater eigenvalue of the inertia tensor."),
        ("InertiaTensorEigenvalues_1", "Lesser eigenvalue of the inertia tensor."),
    )
    return [*entries, *((name, "px2", definition, "", _SKIMAGE) for name, definition in tensor)]
