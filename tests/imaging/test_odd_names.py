"""Names that nobody expects: no format stumbles over one, and none is taken for what it is not."""

from __future__ import annotations

import pytest

from imaging.folders import StoredFolder
from imaging.formats.archives import read_through_archives
from imaging.formats.cellomics import CELLOMICS
from imaging.formats.cellvoyager import CELLVOYAGER
from imaging.formats.contract import Format
from imaging.formats.ome_tiff import OME_TIFF
from imaging.formats.ome_zarr import OME_ZARR
from imaging.store import StoredObject, open_store

ODD = [
    "",
    "/",
    ".",
    "..",
    "a//b",
    "new\nline_B03f00d0.TIF",
    "x" * 300 + "_B03f00d0.TIF",
    "_".join(["B03"] * 5_000) + ".ome.tif",
    "/" * 5_000,
    "P_B\uff10\uff13f00d0.TIF",  # digits of full width
    "P_\u0131\u0130\u212a03f00d0.TIF",  # letters that are I and K where case is ignored
    "P_B03_T\u0660\u0660\u0660\u0661F001L01A01Z01C01.tif",
    f"P_B03_T0001F{'9' * 5_000}L01A01Z01C01.tif",
    f"P_B03f{'0' * 5_000}d0.TIF",
    "P_B03_s" + "7" * 5_000 + ".ome.tif",
    "\U0001f52c_B03f00d0.TIF",
    ".zarr/x",
    "a.zarr/",
    "zarr.json",
    ".zip",
    "a.zip/b",
    "\ud800.ome.tif",
]


@pytest.mark.parametrize("form", [CELLOMICS, CELLVOYAGER, OME_TIFF, OME_ZARR], ids=lambda form: form.name)
@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
def test_an_odd_name_is_sorted_like_any_other(form: Format, name: str) -> None:
    item = StoredObject(name, 9, "gone", 1.0)
    delivery = read_through_archives(form, [item], StoredFolder(open_store("memory://no-objects"), ""))
    places = {plane.address.well for plane in delivery.planes}
    assert {str(well) for well in places} <= {"B03"}
    assert len(delivery.planes) + len(delivery.passed_over) == 1
    form.count([name])


def test_a_name_with_a_control_character_is_shown_and_refused() -> None:
    listed = [StoredObject(name, 9, "gone", 1.0) for name in ("new\nline_B03f00d0.TIF", "\ud800_B03f00d0.TIF")]
    delivery = read_through_archives(CELLOMICS, listed, StoredFolder(open_store("memory://no-objects"), ""))
    assert [(passed.name, passed.reason) for passed in delivery.passed_over] == [
        ("new\\nline_B03f00d0.TIF", "the name has a control character; rename the file"),
        ("\\ud800_B03f00d0.TIF", "the name has a control character; rename the file"),
    ]


def test_names_with_foreign_digits_are_no_images() -> None:
    assert CELLOMICS.count([name for name in ODD if name.startswith("P_")]) == 0
    assert CELLVOYAGER.count(ODD) == 0
    assert CELLOMICS.count(["\U0001f52c_B03f00d0.TIF"]) == 1
