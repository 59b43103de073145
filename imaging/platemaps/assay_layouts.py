"""Assay layouts of Harmony (Operetta, Opera Phenix): XML with one layer per thing that is known of the wells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from imaging.platemaps.faults import Faults

MAX_LAYERS = 100
MAX_TAGS = 1_000_000
"""Beginnings and ends of elements: ten for each value."""


@dataclass(frozen=True, slots=True)
class AssayLayout:
    """Layers as columns beside row and column, one row per well that a layer lists; there are no line numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def read_assay_layout(data: bytes, file: str, faults: Faults) -> AssayLayout | None:
    """Read the layers of an assay layout; ``None`` when it is none, which ``faults`` then holds."""
    if (tags := data.count(b"<")) > MAX_TAGS:
        faults.add(file, 0, f"has {tags} XML tags, at most {MAX_TAGS} are read; is it the right file?")
        return None
    try:
        root = fromstring(data)
    except DefusedXmlException:
        faults.add(file, 0, "has entities or a document type, which no assay layout needs; export it again")
        return None
    except (ParseError, ValueError, LookupError) as error:  # the last is an encoding that nobody knows
        faults.add(file, 0, f"is no XML that can be read ({error}); export the assay layout again")
        return None
    layers = [item for item in root.iter() if _tag(item) == "Layer"]
    if _tag(root) != "AssayLayout" or not layers:
        faults.add(file, 0, f"is XML with the root {_tag(root)!r} and not an assay layout of Harmony")
        return None
    if len(layers) > MAX_LAYERS:
        faults.add(file, 0, f"has {len(layers)} layers, at most {MAX_LAYERS} are read; is it the right file?")
        return None
    wells: dict[tuple[str, str], dict[int, str]] = {}
    names: list[str] = []
    for number, layer in enumerate(layers):
        names.append(_name(layer, number))
        for well in (item for item in layer if _tag(item) == "Well"):
            place = _text(well, "Row"), _text(well, "Col")
            if number in wells.setdefault(place, {}):
                faults.add(
                    file, 0, f"row {place[0]} column {place[1]} stands twice in the layer {names[-1]!r}; keep one"
                )
            wells[place][number] = _text(well, "Value")
    rows = tuple(
        (0, (*place, *(values.get(number, "") for number in range(len(layers))))) for place, values in wells.items()
    )
    if not rows:
        faults.add(file, 0, "is an assay layout without wells")
        return None
    return AssayLayout(("row", "column", *names), rows)


def _name(layer: Any, number: int) -> str:
    """Name of a layer, with its unit where it has one."""
    name, unit = _text(layer, "Name") or f"layer {number + 1}", _text(layer, "Unit")
    return f"{name} ({unit})" if unit else name


def _text(item: Any, tag: str) -> str:
    return next(((child.text or "").strip() for child in item if _tag(child) == tag), "")


def _tag(item: Any) -> str:
    """Name of an element without its namespace, which has the version of Harmony."""
    return str(item.tag).rpartition("}")[2]
