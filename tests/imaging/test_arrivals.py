"""Arrivals: planes of a delivery at the places that are wanted, by the layout or by what the instrument told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from imaging.arrivals import Arrivals, ImageFile, place_planes, show_plane
from imaging.errors import ConfigurationError
from imaging.experiment import Experiment, read_experiment
from imaging.formats.contract import NOTHING_TOLD, Address, Delivery, FoundPlane, PassedOver, Told
from imaging.store import StoredObject
from imaging.wells import parse_well

TEXT = """
name: screen
channels: [{name: DNA, code: "1", full_scale: 255}, {name: GFP, code: "2", full_scale: 255}]
layout: {wells: 24, imaged: [A01-A02], sites: 2}
files: {format: harmony}
recipe: {name: v1}
"""


def declared(layout: str = "", recipe: str = "") -> Experiment:
    text = TEXT.replace("sites: 2", f"sites: 2{layout}").replace("name: v1", f"name: v1{recipe}")
    return read_experiment(text.encode())


def at(well: str, site: int = 1, code: str = "1", **more: int) -> Address:
    return Address(parse_well(well), site, code, **more)


def plane(address: Address, name: str = "", *, modified: float = 1.0, inside: str = "") -> FoundPlane:
    key = name or f"{address.well}-{address.site}-{address.code}-{address.z}-{address.t}.tif"
    return FoundPlane(StoredObject(key, 10, "t", modified), address, inside)


def arrivals_of(experiment: Experiment, *planes: FoundPlane, told: Told = NOTHING_TOLD) -> Arrivals:
    return place_planes(experiment, Delivery(planes, (), told))


def told(*addresses: Address, **more: Any) -> Told:
    return Told(expected=frozenset(addresses), **more)


def test_without_a_manifest_the_layout_is_expected() -> None:
    found = arrivals_of(declared(), plane(at("A01")))
    assert list(found.expected) == [("A01", 1), ("A01", 2), ("A02", 1), ("A02", 2)]
    assert found.expected["A01", 1] == {"DNA": (1,), "GFP": (1,)}
    assert not found.is_told


def test_a_manifest_replaces_the_layout_in_declared_channels_time_points_and_on_the_plate() -> None:
    listed = told(at("B03", 7), at("A01"), at("A01", 1, "9"), at("A01", t=2), at("H12"), at("A01", 1, "2"))
    found = arrivals_of(declared(), plane(at("B03", 7)), plane(at("A02")), told=listed)
    assert found.is_told
    assert {site: dict(channels) for site, channels in found.expected.items()} == {
        ("A01", 1): {"DNA": (1,), "GFP": (1,)},
        ("B03", 7): {"DNA": (1,)},
    }
    assert list(found.images) == [("B03", 7)]
    assert [file.reason for file in found.unknown] == [
        "well A02 site 1 is not among what the instrument's own files expect"
    ]


def test_a_manifest_that_lists_nothing_of_what_is_declared_leaves_the_layout() -> None:
    assert not arrivals_of(declared(), told=told(at("A01", 1, "9"))).is_told
    assert not arrivals_of(declared(), told=told()).is_told


def test_a_channel_that_the_manifest_does_not_expect_at_a_site_is_no_image_there() -> None:
    found = arrivals_of(declared(), plane(at("A01", 1, "2")), told=told(at("A01")))
    assert found.unknown[0].reason == "GFP of well A01 site 1 is not among what the instrument's own files expect"


def test_time_points_are_sites_of_their_own() -> None:
    found = arrivals_of(declared(", time_points: [1, 3]"), plane(at("A01", t=3)), plane(at("A01", t=2)))
    assert list(found.images) == [("A01", 2001)]
    assert ("A01", 2001) in found.expected
    assert found.unknown[0].reason == "time point 2 is none of layout.time_points (1, 3)"


@pytest.mark.parametrize(
    ("recipe", "layout", "wanted"),
    [
        ("", "", (1,)),
        ("", ", z: 3", (1,)),
        (", plane: 2", ", z: 3", (2,)),
        (", projection: max", ", z: 3", (1, 2, 3)),
        (", projection: mean", "", ()),
    ],
)
def test_the_recipe_chooses_planes_of_a_stack(recipe: str, layout: str, wanted: tuple[int, ...]) -> None:
    found = arrivals_of(declared(layout, recipe), *(plane(at("A01", z=z)) for z in (1, 2, 3)))
    assert found.expected["A01", 1]["DNA"] == wanted
    taken = tuple(file.z for file in found.images["A01", 1]["DNA"])
    assert taken == (wanted or (1, 2, 3))
    assert found.unused == 3 - len(taken)
    assert found.unknown == ()


def test_a_channel_that_the_manifest_gives_one_plane_is_that_plane_whatever_the_recipe_wants() -> None:
    listed = told(at("A01", z=1), at("A01", z=2), at("A01", 1, "2", z=4))
    found = arrivals_of(declared("", ", plane: 2"), told=listed)
    assert found.expected["A01", 1] == {"DNA": (2,), "GFP": (4,)}
    assert arrivals_of(declared(), told=listed).expected["A01", 1] == {"DNA": (1,), "GFP": (4,)}


def test_planes_that_were_not_taken_are_named_at_their_places() -> None:
    words = told(at("A01"), at("A01", 1, "2"), not_taken={at("A01", 1, "2"): "laser off", at("A02"): "never"})
    assert arrivals_of(declared(), told=words).not_taken == {("A01", 1, "GFP", 1): "laser off"}


def test_an_unknown_name_and_an_unreadable_manifest_are_told_and_ignored_names_are_not() -> None:
    passed = (PassedOver("log.txt", "ignored", "a log"), PassedOver("odd.tif", "unknown", "no such name"))
    found = place_planes(declared(), Delivery((), passed, Told(problems=("Index.xml is cut off",))))
    assert [(file.name, file.reason) for file in found.unknown] == [
        ("odd.tif", "no such name"),
        ("the instrument's files", "Index.xml is cut off"),
    ]


def test_a_file_is_a_version_by_name_token_and_the_plane_inside_it() -> None:
    whole = ImageFile("a.tif", "t", 1, 1.0)
    assert whole.version == ("a.tif", "t")
    assert ImageFile("a.tif", "t", 1, 1.0, inside="page 2").version == ("a.tif", "t", "page 2")
    assert show_plane("a.tif", "page 2") == "a.tif (page 2)"
    assert show_plane("x.zip/a.tif", "member a.tif; at 512; of 4096") == "x.zip/a.tif"


def of_measurement(name: str, modified: float, *addresses: Address) -> list[FoundPlane]:
    return [plane(replace(a, acquisition=name), f"{name}/{a.well}-{a.code}.tif", modified=modified) for a in addresses]


def test_channels_of_two_measurements_are_never_mixed() -> None:
    whole = of_measurement("M1", 1.0, at("A01"), at("A01", 1, "2"), at("A02"), at("A02", 1, "2"))
    part = of_measurement("M2", 2.0, at("A01", 1, "2"), at("A02"), at("A02", 1, "2"))
    found = arrivals_of(declared(), *whole, *part)
    assert {file.name for file in found.files()} == {item.item.key for item in whole}
    assert len(found.unknown) == 3
    assert found.unknown[0].reason == (
        "it belongs to the measurement 'M2', and this site is taken from the measurement 'M1': channels of two "
        "measurements are not mixed; upload each measurement as a plate of its own"
    )
    again = arrivals_of(declared(), *whole, *part, *of_measurement("M2", 2.0, at("A01")))
    assert {file.name.partition("/")[0] for file in again.files()} == {"M2"}  # of two that are whole, the newer


def test_a_site_that_one_measurement_has_alone_is_taken_from_it() -> None:
    first = of_measurement("", 1.0, at("A01"), at("A01", 1, "2"), at("A01", 9))
    second = of_measurement("L2", 1.0, at("A02"))
    found = arrivals_of(declared(), *first, *second)
    assert set(found.images) == {("A01", 1), ("A02", 1)}
    assert [file.reason[:8] for file in found.unknown] == ["well A01"]


def test_sites_beyond_what_can_be_numbered_are_refused() -> None:
    found = arrivals_of(declared(), plane(at("A01", 1001)), told=told(at("A01")))
    assert found.unknown[0].reason == "a site must have a number from 1 to 1000, got 1001"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("{format: harmoni}", "files.format: 'harmoni' is no format; did you mean 'harmony'?"),
        ("{}", "files: must have either format, such as harmony, or pattern, a regular expression"),
        ("{format: harmony, pattern: '(?P<well>.*)'}", "files: must have either format"),
    ],
)
def test_files_have_a_known_format_or_a_pattern(files: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        read_experiment(TEXT.replace("{format: harmony}", files).encode())
    assert any(message in problem for problem in error.value.problems), error.value.problems


def test_a_recipe_has_a_projection_or_a_plane_and_neither_changes_the_hash_of_others() -> None:
    with pytest.raises(ConfigurationError, match="1 fault"):
        declared("", ", projection: max, plane: 2")
    assert declared().recipe_id == "v1-dc857dbe"
    assert declared("", ", projection: max").recipe_id != declared().recipe_id
    assert declared(", z: 3, time_points: 2").recipe_id == declared().recipe_id
