"""A small published screen, and its plates in a form of export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imaging.export.forms import Export, Written
from imaging.export.gallery import Gallery
from imaging.export.selection import Published, select_plates
from imaging.store import Store
from tests.imaging import small_screen

HOSTILE = ("=1+2", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "a, \"b\"; 'c'\nd", "Größe µM")
"""Treatments that a spreadsheet would compute, and that CSV must quote."""


def published(store: Store, plate: str = "P1", **changes: Any) -> Published:
    """Publish a plate and choose it."""
    small_screen.publish(store, plate=plate, **changes)
    (chosen,) = select_plates(store, "screen", [plate]).plates
    return chosen


def export(chosen: Published, form: str, out: Path, what: str = "profiles", **gallery: Any) -> list[Written]:
    places = Gallery(out, **({"project": "cpg", "batch": "b1"} | gallery)) if form == "cpg" else None
    return list(Export(form, what, out, places).write(chosen))


def hostile_map() -> Any:
    """The plate map with treatments that begin like formulas."""
    rows = small_screen.plate_map().rows
    changed = zip(rows.items(), HOSTILE, strict=True)
    return type(small_screen.plate_map())(
        {
            well: type(row)(well, text, row.concentration, row.concentration_unit, row.control)
            for (well, row), text in changed
        }
    )
