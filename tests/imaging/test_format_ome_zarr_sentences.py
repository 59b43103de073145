"""What sentences quote of damaged OME-Zarr: on one line, in signs that can be printed, and short."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imaging.errors import UnreadableImageError
from imaging.formats.contract import Address
from tests.imaging.test_format_ome_zarr import B03, at, pixels_of, read, write_image


def name_axes(image: Path, *names: str) -> None:
    """Give the image of these axes, whatever its array has."""
    described = json.loads((image / ".zattrs").read_text())
    described["multiscales"][0]["axes"] = [{"name": name} for name in names]
    (image / ".zattrs").write_text(json.dumps(described))


def problem_of(root: Path) -> str:
    """The one sentence about a folder."""
    (problem,) = read(root)[0].told.problems
    return problem


def test_an_axis_named_by_half_a_sign_is_told_in_signs_that_can_be_printed(tmp_path: Path) -> None:
    write_image(tmp_path / "B03.zarr", "0.4")
    name_axes(tmp_path / "B03.zarr", "\ud800", "z", "y", "x")
    assert problem_of(tmp_path) == "B03.zarr: its axes are \\ud800, z, y, x; they must be of t, c, z, y, x"


def test_axes_that_were_replaced_after_the_listing_are_told_in_signs_that_can_be_printed(tmp_path: Path) -> None:
    write_image(tmp_path / "B03.zarr", "0.4")
    delivery, folder = read(tmp_path)
    name_axes(tmp_path / "B03.zarr", "\udfff\n", "y", "x")
    with pytest.raises(UnreadableImageError) as caught:
        pixels_of(folder, at(delivery, Address(B03, 1, "1", 1)))
    assert caught.value.message == "its axes \\udfff\\n, y, x do not fit an array of shape (2, 3, 40, 50)"
