"""What sentences quote of damaged OME-Zarr: on one line, in signs that can be printed, and short."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imaging.errors import UnreadableImageError
from imaging.formats.contract import Address
from imaging.ome_zarr_image import open_ome_zarr
from tests.imaging.test_format_ome_zarr import B03, Version, at, pixels_of, read, write_image, write_plate


def name_axes(image: Path, *names: str) -> None:
    """Give the image of these axes, whatever its array has."""
    described = json.loads((image / ".zattrs").read_text())
    described["multiscales"][0]["axes"] = [{"name": name} for name in names]
    (image / ".zattrs").write_text(json.dumps(described))


def describe_array(image: Path, **changes: Any) -> None:
    """Change what the description of the image's largest level says."""
    path = image / "0/.zarray"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def name_level(image: Path, path: str) -> None:
    """Give the image's largest level another path."""
    described = json.loads((image / ".zattrs").read_text())
    described["multiscales"][0]["datasets"][0]["path"] = path
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


LONG = 2_000 * "9"


def test_a_level_of_a_long_name_is_told_without_its_middle(tmp_path: Path) -> None:
    write_image(tmp_path / "B03.zarr", "0.4")
    name_level(tmp_path / "B03.zarr", LONG)
    problem = problem_of(tmp_path)
    assert problem.startswith("B03.zarr: the description of its array '999")
    assert problem.endswith("999' is missing")
    assert " ... " in problem
    assert len(problem) <= 1_500


def test_an_image_of_a_long_name_is_told_without_its_middle(tmp_path: Path) -> None:
    write_plate(tmp_path / "p.zarr", "0.4")
    (tmp_path / "p.zarr/B/03/.zattrs").write_text(json.dumps({"well": {"images": [{"path": "\ud800" + LONG}]}}))
    problem = problem_of(tmp_path)
    assert problem.startswith("p.zarr/B/03/\\ud800999")
    assert problem.endswith("999: the image's description is missing")
    assert len(problem) <= 1_500


@pytest.mark.parametrize(
    "changes", [{"dtype": LONG}, {"dimension_separator": LONG}, {"shape": [1] * 2_000, "chunks": [1] * 2_000}]
)
def test_what_a_description_of_an_array_says_is_told_without_its_middle(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    write_image(tmp_path / "B03.zarr", "0.4")
    describe_array(tmp_path / "B03.zarr", **changes)
    assert len(problem_of(tmp_path)) <= 1_500


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"order": LONG}, "its pixels are damaged: .*9{200} [.]{3} 9{200}"),
        (
            {"filters": [{"id": "zlib"}] * 500},
            "packed twice, by zstd and zlib .* [.]{3} .* and zlib, which",
        ),
    ],
)
def test_what_is_said_of_pixels_is_told_without_its_middle(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    write_image(tmp_path / "B03.zarr", "0.4")
    describe_array(tmp_path / "B03.zarr", **changes)
    delivery, folder = read(tmp_path)
    with pytest.raises(UnreadableImageError, match=words) as caught:
        pixels_of(folder, at(delivery, Address(B03, 1, "1", 1)))
    assert len(caught.value.message) <= 1_000


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_folder_of_one_image_tells_a_long_level_without_its_middle(tmp_path: Path, version: Version) -> None:
    write_image(tmp_path / "a.zarr", version)
    file = tmp_path / "a.zarr" / (".zattrs" if version == "0.4" else "zarr.json")
    file.write_text(file.read_text().replace('"path": "0"', f'"path": "{LONG}"'))
    with pytest.raises(UnreadableImageError, match="its level '999") as caught:
        open_ome_zarr(tmp_path / "a.zarr")
    assert len(caught.value.message) <= 1_500
