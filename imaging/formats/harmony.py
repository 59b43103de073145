"""Operetta and Opera Phenix: what Harmony exports, one TIFF per plane and an index of all of them.

    [PLATE__DATE-MeasurementN/][Images/]r03c03f01p01-ch1sk1fk1fl1.tiff
    [PLATE__DATE-MeasurementN/][Images/]Index.idx.xml (to V5) or Index.xml (from V6)

The index says where each file belongs; where there is none, or it does not name a file, the name does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from imaging.formats.contract import Address, Delivery, Folder, FoundPlane, PassedOver, Told
from imaging.formats.harmony_index import HarmonyIndex, read_index
from imaging.formats.manifests import in_acquisition, read_manifest, tell_all
from imaging.formats.measurements import Measurements, folder_of
from imaging.formats.named import NamePattern
from imaging.formats.passed_over import base_name, is_hidden, is_image_name, pass_over
from imaging.formats.pauses import without_collecting
from imaging.store import StoredObject

INDEX_NAMES = ("index.xml", "index.idx.xml", "index.ref.xml")
"""Names of an index in lower case, the one of the newest versions first."""
MAX_INDEX_BYTES = 2 * 1024 * 1024 * 1024
_INNER = re.compile(r"(?:^|/)(?:images(?:/flex)?|flex)$", re.IGNORECASE)
_NAME = NamePattern(
    r"(?i:r(?P<row>\d{2})c(?P<column>\d{2})f(?P<site>\d{2,})p(?P<z>\d{2,})-ch0*(?P<channel>[1-9]\d{0,2})"
    r"(?:sk(?P<t>\d+)(?:fk\d+)?(?:fl\d+)?)?\.tiff?)"
)
_OLD_NAME = NamePattern(
    r"(?i:(?P<row>\d{3})(?P<column>\d{3})-(?P<site>\d+)-(?P<z>\d{3})(?P<t>\d{3})0*(?P<channel>[1-9]\d{0,2})\.tiff?)"
)
_NO_FIT = "the name is none that Harmony gives, and no index names it"


@dataclass(frozen=True, slots=True)
class Harmony:
    """Folders of Harmony; see the module."""

    name: str = "harmony"
    title: str = "Operetta or Opera Phenix (Harmony)"
    example: str = "r01c01f01p01-ch1sk1fk1fl1.tiff"

    def count(self, names: Sequence[str]) -> int:
        """How many names fit, or, beside an index, how many images there are."""
        if any(base_name(name).lower() in INDEX_NAMES for name in names):
            return sum(is_image_name(name) for name in names)
        read, read_old = _NAME.reader(), _OLD_NAME.reader()
        return sum(isinstance(read(name), Address) or isinstance(read_old(name), Address) for name in names)

    @without_collecting()
    def read(self, objects: Sequence[StoredObject], folder: Folder) -> Delivery:
        """Sort a listing by its indices and names."""
        listed = sorted((item for item in objects if _is_index(item.key)), key=_rank)
        found: dict[str, list[StoredObject]] = {}
        for item in listed:
            found.setdefault(_root(folder_of(item.key)), []).append(item)
        measurements = Measurements({*found, *_image_folders(objects)})
        indices: dict[str, HarmonyIndex] = {}
        told: list[Told] = []
        for root, items in found.items():
            index, said = _read_first(folder, items)
            if index is not None:
                indices[root] = _in_acquisition(index, measurements.acquisition(root))
                said = replace(indices[root].told(), manifests=said.manifests, problems=said.problems)
            told.append(said)
        planes, passed_over, orphans = _sort(objects, measurements, indices)
        together = tell_all(told) if told else Told()
        if orphans:
            together = replace(together, remarks=(*together.remarks, _say_orphans(orphans)))
        return Delivery(tuple(planes), tuple(passed_over), together)


FORMAT = Harmony()


def _read_first(folder: Folder, items: Sequence[StoredObject]) -> tuple[HarmonyIndex | None, Told]:
    """The first of a measurement's indices that can be read, its name, and what is wrong with those before it."""
    problems: list[str] = []
    for item in items:
        index, problem = read_manifest(folder, item, read_index, max_bytes=MAX_INDEX_BYTES)
        if index is not None:
            return index, Told(manifests=(item.key,), problems=tuple(problems))
        problems.append(problem)
    return None, Told(manifests=(items[0].key,), problems=tuple(problems))


def _sort(
    objects: Sequence[StoredObject], measurements: Measurements, indices: dict[str, HarmonyIndex]
) -> tuple[list[FoundPlane], list[PassedOver], list[str]]:
    """Planes, other objects, and the names of planes that an index should name and does not."""
    planes: list[FoundPlane] = []
    passed_over: list[PassedOver] = []
    orphans: list[str] = []
    read, read_old = _NAME.reader(), _OLD_NAME.reader()
    root_of, alone = measurements.of, len(measurements.roots) == 1
    places = {root: index.images.get for root, index in indices.items()}
    folder, root, place, skipped = None, "", None, False
    for item in objects:
        name = item.key
        cut = name.rfind("/")
        if name[: max(cut, 0)] != folder:
            folder = name[: max(cut, 0)]
            root = root_of(folder)
            place, skipped = places.get(root), is_hidden(folder)
        address: Address | str | None = place(name[cut + 1 :]) if place else None
        if address is None:
            address = read(name)
            if address.__class__ is str:
                address = read_old(name)
            if isinstance(address, Address):
                if not alone:
                    address = in_acquisition(address, measurements.acquisition(root))
                if place:
                    orphans.append(name)
        if isinstance(address, str) or skipped or not (address.z and address.site and address.t):
            passed_over.append(_pass_over(name, address))
        else:
            planes.append(FoundPlane(item, address))
    return planes, passed_over, orphans


def _pass_over(name: str, address: Address | str) -> PassedOver:
    if _is_index(name):
        return PassedOver(name, "ignored", "Harmony's index")
    if isinstance(address, Address):
        return pass_over(name, "field, plane and time point count from 1 in Harmony's names; is it a projection?")
    return pass_over(name, _NO_FIT)


def _say_orphans(orphans: list[str]) -> str:
    if len(orphans) == 1:
        return f"the index does not name {orphans[0]}; its name says where it belongs"
    return f"the index does not name {len(orphans)} images, such as {orphans[0]}; their names say where they belong"


def _in_acquisition(index: HarmonyIndex, acquisition: str) -> HarmonyIndex:
    if not acquisition:
        return index
    return replace(
        index,
        images={name: in_acquisition(address, acquisition) for name, address in index.images.items()},
        not_taken={in_acquisition(address, acquisition): words for address, words in index.not_taken.items()},
    )


def _is_index(name: str) -> bool:
    return base_name(name).lower() in INDEX_NAMES and not is_hidden(name)


def _rank(item: StoredObject) -> tuple[int, str]:
    """Order in which a measurement's indices are tried: the newest version's, nearest to the top."""
    return INDEX_NAMES.index(base_name(item.key).lower()), item.key


def _image_folders(objects: Sequence[StoredObject]) -> set[str]:
    """Measurements without any index: what lies above each folder ``Images``."""
    folders = {folder_of(item.key) for item in objects}
    return {_root(folder) for folder in folders if _INNER.search(folder)}


def _root(folder: str) -> str:
    """The measurement's folder of an index or image."""
    return _INNER.sub("", folder)
