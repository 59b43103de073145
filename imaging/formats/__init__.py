"""Formats of instruments: which objects of a folder are which planes, and what manifests say should come."""

from __future__ import annotations

from collections.abc import Sequence

from imaging.errors import ConfigurationError
from imaging.formats import cellomics, cellvoyager, harmony, metaxpress, ome_tiff, ome_zarr, rxrx
from imaging.formats.archives import open_archives, read_through_archives
from imaging.formats.contract import Delivery, Folder, Format, PassedOver
from imaging.formats.named import CONVENTIONS, guess_convention
from imaging.formats.passed_over import base_name, is_image_name
from imaging.store import StoredObject

FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        harmony.FORMAT,
        metaxpress.FORMAT,
        cellvoyager.CELLVOYAGER,
        cellomics.CELLOMICS,
        rxrx.FORMAT,
        ome_tiff.OME_TIFF,
        ome_zarr.OME_ZARR,
    )
}
"""Formats by their words in experiment.yaml; of two that take as many names the first is right."""


def recognise(objects: Sequence[StoredObject], folder: Folder) -> tuple[Format, Delivery]:
    """Find the format of a folder and read it, members of its archives too.

    The format that takes most names is right, unless a convention of names takes more than twice as many.

    Parameters
    ----------
    objects
        The listing, whose keys are paths inside the folder.
    folder
        The folder itself, for manifests.

    Raises
    ------
    ConfigurationError
        If there is no image, or the names follow nothing known here; says how to write a pattern.
    """
    opened = open_archives(objects, folder)
    names = [item.key for item in opened.objects]
    counts = {name: known.count(names) for name, known in FORMATS.items()}
    best = max(FORMATS.values(), key=lambda known: counts[known.name])
    convention = guess_convention(names)
    if convention is not None and convention.count(names) > 2 * counts[best.name]:
        best = convention
    elif not counts[best.name]:
        raise ConfigurationError(_say_unknown(names, opened.passed_over))
    return best, read_through_archives(best, objects, folder)


def _say_unknown(names: Sequence[str], passed_over: Sequence[PassedOver]) -> str:
    example = next((base_name(name) for name in sorted(names) if is_image_name(name)), None)
    refused = next((item for item in passed_over if item.kind == "unknown"), None)
    if example is None and refused is not None:
        return f"no image is found: {refused.name}: {refused.reason}"
    if example is None:
        return "the folder holds no image (.tif, .tiff, .png); give the folder of one plate's images"
    known = ", ".join([known.example for known in (*FORMATS.values(), *CONVENTIONS)])
    return (
        f"names such as {example!r} follow no convention known here ({known}). Write experiment.yaml by hand, with a "
        "regular expression under files.pattern that fits the whole name: (?P<well>[A-P]\\d\\d) for the well, or "
        "(?P<row>[A-P]) and (?P<column>\\d\\d), and (?P<site>\\d+), (?P<channel>\\w+) where the name has them; for "
        r"B03_s1_DNA.tif it is '(?P<well>[A-P]\d\d)_s(?P<site>\d+)_(?P<channel>\w+)\.tif'"
    )
