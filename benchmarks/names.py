"""Names of images into places on a plate: a listing of one plate read by each format that goes by names.

The reference is the least that anybody can do with a regular expression: ``fullmatch`` and ``groupdict`` of each name,
in one loop, with no number or well made of the texts. Plates of one layout share their places, so the first plate that
a process sees takes longer, and is told apart.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import product
from typing import Any

from benchmarks.results_file import measure, write_result
from imaging.folders import NoFolder
from imaging.formats import FORMATS
from imaging.formats.contract import Format
from imaging.formats.named import PatternFormat
from imaging.store import StoredObject
from imaging.wells import PLATE_SHAPES, Well

GUID = "E94C24BD-45E4-450A-9919-257C714278F7"
SITES, CHANNELS = 9, 6
TARGET_PER_S = 200_000
_GUID = r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}"
REFERENCES = {
    "harmony": r".*/r(?P<row>\d\d)c(?P<column>\d\d)f(?P<site>\d+)p(?P<z>\d+)-ch(?P<channel>\d)sk(?P<t>\d)fk1fl1\.tiff",
    "metaxpress": rf"(?P<folder>.*)/(?P<plate>[^/_]*)_(?P<well>[A-Z]\d\d)_s(?P<site>\d+)_w(?P<channel>\d){_GUID}\.tif",
    "rxrx": r"(?P<plate>.*)/(?P<well>[A-Z]{1,2}\d\d)_s(?P<site>\d)_w(?P<channel>\d)\.png",
    "pattern": r"(?P<well>[A-P][0-9]{2})_s(?P<site>[0-9])_(?P<channel>[A-Za-z]+)[.]tif",
}
STAINS = ("DNA", "ER", "RNA", "AGP", "Mito", "Brightfield")


def names_of(name: str, wells: int) -> list[str]:
    """Names of one plate's images in the manner of a format: all wells, 9 sites, 6 channels."""
    rows, columns = PLATE_SHAPES[wells]
    placed = product(range(rows), range(1, columns + 1), range(1, SITES + 1), range(1, CHANNELS + 1))
    spell: dict[str, Callable[[Well, int, int], str]] = {
        "harmony": lambda well, site, code: (
            f"Images/r{well.row + 1:02d}c{well.column:02d}f{site:02d}p01-ch{code}sk1fk1fl1.tiff"
        ),
        "metaxpress": lambda well, site, code: f"2026-01-31/1334/TimePoint_1/P7_{well}_s{site}_w{code}{GUID}.tif",
        "rxrx": lambda well, site, code: f"HUVEC-01/Plate1/{well}_s{site}_w{code}.png",
        "pattern": lambda well, site, code: f"{well}_s{site}_{STAINS[code - 1]}.tif",
    }
    return [spell[name](Well(row, column), site, code) for row, column, site, code in placed]


def bench(name: str, form: Format, names: list[str]) -> dict[str, Any]:
    """Read a listing of these names; every one of them is an image, and each has a place of its own."""
    objects = [StoredObject(one, 1, "t", 0.0) for one in names]
    started = time.process_time()
    planes = form.read(objects, NoFolder()).planes
    first_s = time.process_time() - started
    assert len({plane.address for plane in planes}) == len(names)
    match = re.compile(REFERENCES[name]).fullmatch

    def reference() -> None:
        for one in names:
            found = match(one)
            assert found is not None
            found.groupdict()

    ours = measure(lambda: form.read(objects, NoFolder()))
    least = measure(reference)
    rate, plain = (len(names) / figures["cpu_median_s"] for figures in (ours, least))
    return {
        "names": len(names),
        "read": ours,
        "reference_fullmatch_groupdict": least,
        "names_per_s": round(rate),
        "first_plate_names_per_s": round(len(names) / first_s),
        "reference_names_per_s": round(plain),
        "ratio_to_reference": round(rate / plain, 2),
        "counted_names_per_s": round(len(names) / measure(lambda: form.count(names))["cpu_median_s"]),
    }


def main() -> None:
    """Measure a plate of 384 wells by each format, one of 1,536 by RxRx' names, and write the results."""
    forms = {name: FORMATS.get(name) or PatternFormat(REFERENCES["pattern"]) for name in REFERENCES}
    figures = {name: bench(name, form, names_of(name, 1536 if name == "rxrx" else 384)) for name, form in forms.items()}
    print(write_result("names", figures | {"target": f"{TARGET_PER_S:,} names/s of one core"}).read_text())


if __name__ == "__main__":
    main()
