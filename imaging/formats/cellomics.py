"""Cellomics ArrayScan: ``PREFIX_BARCODE_WELLfFFdC`` as .TIF, .C01 or .DIB; fields count from 0, sites from 1.

The instrument keeps what it knows in a database (.MDB) of its own, so names are all there is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from imaging.formats.contract import Address, Delivery, Folder, FoundPlane, PassedOver, Told, ToldChannel
from imaging.formats.passed_over import pass_over
from imaging.formats.pauses import without_collecting
from imaging.formats.plates_by_name import split_plates
from imaging.store import StoredObject
from imaging.wells import Well, parse_well

_NAME = re.compile(
    r"(?:.*/)?(?:([^/]*)_)?((?:[A-P]|A[A-F])\d{2})f(\d{2,4})([do])(\d{1,2})\.(?:tiff?|c01|dib)",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
"""Plate, well, field, data or overlay, channel."""
_OTHERS = re.compile(
    r".*\.(?:mdb|ldb|accdb|xml|csv|txt|log|ini|jpe?g|bmp|htm|html|asn|prt|rtf)", re.IGNORECASE | re.DOTALL | re.ASCII
)


class Cellomics:
    """Cellomics ArrayScan and CellInsight."""

    name = "cellomics"
    title = "Thermo Cellomics ArrayScan and CellInsight"
    example = "AS_09125_050116030001_D03f00d0.TIF"

    def count(self, names: Sequence[str]) -> int:
        """Count the names of images."""
        fits = _NAME.fullmatch
        return sum((match := fits(name)) is not None and match[4] in "dD" for name in names)

    @without_collecting()
    def read(self, objects: Sequence[StoredObject], folder: Folder) -> Delivery:
        """Sort a listing by its names."""
        planes: list[FoundPlane] = []
        passed: list[PassedOver] = []
        plates: set[str] = set()
        fits = _NAME.fullmatch
        for item in objects:
            match = fits(item.key)
            if match is None or match[4] not in "dD":
                passed.append(_pass_over(item.key, match is not None))
                continue
            plate, well, field, _, channel = match.groups()
            plates.add(plate or "")
            planes.append(FoundPlane(item, Address(_well(well), int(field) + 1, _code(channel))))
        split, _ = split_plates(planes, lambda plane: ((match := fits(plane.item.key)) is not None and match[1]) or "")
        codes = sorted({plane.address.code for plane in planes}, key=lambda code: (len(code), code))
        told = Told(
            plate=next(iter(plates)) if len(plates) == 1 else "",
            instrument="Cellomics ArrayScan" if planes else "",
            channels=tuple(ToldChannel(code) for code in codes),
        )
        return Delivery(split, tuple(passed), told)


CELLOMICS = Cellomics()


@lru_cache(maxsize=2048)
def _well(name: str) -> Well:
    return parse_well(name)


@lru_cache(maxsize=128)
def _code(channel: str) -> str:
    return f"d{int(channel)}"


def _pass_over(name: str, is_overlay: bool) -> PassedOver:
    if is_overlay:
        return PassedOver(name, "ignored", "an overlay of the instrument's own analysis")
    if _OTHERS.fullmatch(name):
        return PassedOver(name, "ignored", "a file of the instrument's software")
    return pass_over(name, "the name is none of Cellomics' (such as AS_09125_050116030001_D03f00d0.TIF)")
