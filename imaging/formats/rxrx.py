"""RxRx data sets (RxRx1, RxRx2, RxRx19): ``EXPERIMENT/Plate1/AA02_s2_w3.png``.

Plates have 384 or 1,536 wells. Their six channels are the stains of Cell Painting in the order in which the data sets'
authors publish them; a set with other numbers is left without names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from imaging.formats.contract import Address, Delivery, Folder, FoundPlane, PassedOver, Told, ToldChannel
from imaging.formats.manifests import in_acquisition
from imaging.formats.measurements import Measurements, folder_of
from imaging.formats.named import NamePattern
from imaging.formats.passed_over import is_hidden, pass_over
from imaging.formats.pauses import without_collecting
from imaging.store import StoredObject

_NAME = NamePattern(r"(?P<well>(?:[A-Z]|A[A-F])\d{2})_s(?P<site>\d{1,3})_w(?P<channel>\d{1,2})\.png")
_PLATE = re.compile(r"(?:.*/)?Plate_?\d+", re.IGNORECASE)
_STAINS = {"1": "Hoechst", "2": "ConcanavalinA", "3": "Phalloidin", "4": "Syto14", "5": "MitoTracker", "6": "WGA"}
_NO_FIT = "the name is none of an RxRx data set's"


@dataclass(frozen=True, slots=True)
class RxRx:
    """Folders of the RxRx data sets; see the module."""

    name: str = "rxrx"
    title: str = "RxRx data set"
    example: str = "AA02_s2_w3.png"

    def count(self, names: Sequence[str]) -> int:
        """How many names fit."""
        read = _NAME.reader()
        return sum(isinstance(read(name), Address) for name in names)

    @without_collecting()
    def read(self, objects: Sequence[StoredObject], folder: Folder) -> Delivery:
        """Sort a listing by folders and names; nothing is opened."""
        read = _NAME.reader()
        folders = {folder_of(item.key) for item in objects}
        measurements = Measurements(path for path in folders if _PLATE.fullmatch(path))
        acquisitions = {path: measurements.acquisition(measurements.of(path)) for path in folders}
        planes: list[FoundPlane] = []
        passed_over: list[PassedOver] = []
        for item in objects:
            found = read(item.key)
            if isinstance(found, str) or is_hidden(item.key) or not found.site:
                passed_over.append(pass_over(item.key, _NO_FIT))
            else:
                planes.append(FoundPlane(item, found))
        if len(measurements.roots) > 1:
            planes = [
                FoundPlane(plane.item, in_acquisition(plane.address, acquisitions[folder_of(plane.item.key)]))
                for plane in planes
            ]
        codes = sorted({plane.address.code for plane in planes})
        is_whole = codes == sorted(_STAINS)  # then a plate's own folder, which nothing above it names, is one too
        is_plain = set(codes) <= set(_STAINS) and (is_whole or measurements.roots != ("",))
        channels = tuple(ToldChannel(code, _STAINS[code] if is_plain else "") for code in codes)
        return Delivery(tuple(planes), tuple(passed_over), Told(channels=channels))


FORMAT = RxRx()
