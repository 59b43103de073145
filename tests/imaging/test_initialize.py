"""A first declaration from the names of a folder: each instrument's, wells, sites, planes, time points."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imaging.arrivals import sort_arrivals
from imaging.errors import ConfigurationError
from imaging.experiment import read_experiment
from imaging.experiment_text import write_experiment_yaml
from imaging.folders import StoredFolder
from imaging.formats import FORMATS
from imaging.initialize import compact_wells
from imaging.initialize import look_at as look_at_folder
from imaging.store import open_store
from imaging.wells import expand_wells
from tests.imaging.looks import declared, look_at, places

IMAGES = Path(__file__).parents[1] / "data" / "bbbc013" / "images"
GUID = "E94C24BD-45E4-450A-9919-257C714278F7"
NAMES = {
    "harmony": (
        ["Images/r02c11f01p01-ch1sk1fk1fl1.tiff", "Images/r02c11f12p01-ch4sk1fk1fl1.tiff"],
        {("B11", 1, "Channel1"), ("B11", 12, "Channel4")},
    ),
    "metaxpress": (
        ["plate_one_A01_s1_w1.TIF", "plate_one_H12_s2_w3.TIF", f"plate_one_H12_s2_w2{GUID}.TIF"],
        {("A01", 1, "Channel1"), ("H12", 2, "Channel3"), ("H12", 2, "Channel2")},
    ),
    "metaxpress, one site": (
        [f"x_A01_w1{GUID}.tif", f"x_A01_w2{GUID}.tif"],
        {("A01", 1, "Channel1"), ("A01", 1, "Channel2")},
    ),
    "metaxpress, one channel": (
        [f"P_E07_s1{GUID}.tif", "P_E07_s2.tif"],
        {("E07", 1, "Channel1"), ("E07", 2, "Channel1")},
    ),
    "rxrx": (["Plate1/AA02_s2_w3.png", "Plate1/AF48_s1_w1.png"], {("AA02", 2, "Phalloidin"), ("AF48", 1, "Hoechst")}),
    "pattern: row and column at the end": (
        ["Channel1-01-A-01.tif", "Channel2-48-D-12.tif"],
        {("A01", 1, "Channel1"), ("D12", 1, "Channel2")},
    ),
    "pattern: well, image number, channel number, site, stain": (
        ["B7_01_1_3_DAPI_001.tif", "D6_01_2_2_GFP_001.tif"],
        {("B07", 3, "DAPI"), ("D06", 2, "GFP")},
    ),
    "pattern: well, site, stain": (
        ["A01_s1_DNA.tif", "x_A02_s2_AGP-2.tif"],
        {("A01", 1, "DNA"), ("A02", 2, "AGP_2")},
    ),
    "pattern: well, stain": (["A01_DNA.tif", "p_B02_ER.tif"], {("A01", 1, "DNA"), ("B02", 1, "ER")}),
    "pattern: well": (["A01.png", "AF48.png"], {("A01", 1, "Channel"), ("AF48", 1, "Channel")}),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_of_each_kind_are_recognised_and_sorted_as_images(kind: str) -> None:
    names, expected = NAMES[kind]
    look = look_at(names)
    assert look.format == re.split("[:,]", kind)[0]
    assert look.image_count == len(names)
    assert places(names, look) == expected
    if look.pattern:
        assert look.title == kind.partition(": ")[2]


def test_every_format_is_known_to_the_declaration() -> None:
    text = write_experiment_yaml(look_at(["A01_s1_DNA.tif"]), name="screen")
    for name in FORMATS:
        assert read_experiment(re.sub(r"pattern: .*", f"format: {name}", text).encode()).files.format == name


def test_the_real_folder_is_recognised_and_its_declaration_fits_every_image() -> None:
    store = open_store(str(IMAGES))
    objects, folder = store.list("").objects, StoredFolder(store)
    look = look_at_folder(objects, folder)
    assert (look.plate_wells, look.imaged, look.sites, look.unknown, look.notes) == (96, ("A01-D12",), (1,), (), ())
    assert [(channel.code, channel.full_scale, channel.is_measured) for channel in look.channels] == [
        ("1", 255, True),
        ("2", 255, True),
    ]
    assert len(sort_arrivals(declared(look), "", objects, folder=folder).images) == 48


# What cannot be recognised


def test_unknown_names_are_answered_with_how_to_write_a_pattern() -> None:
    with pytest.raises(ConfigurationError, match="follow no convention known here") as caught:
        look_at(["scan 0001 final.tif", "scan 0002 final.tif"])
    example = re.findall(r"'(\(.*?\\\.tif)'", caught.value.message)[0]
    assert re.fullmatch(example, "B03_s1_DNA.tif")
    assert "'scan 0001 final.tif'" in caught.value.message


@pytest.mark.parametrize("names", [[], ["notes.txt", "a.csv"], ["x_A01_s1_w1_thumb.tif"], ["._A01_s1_DNA.tif"]])
def test_a_folder_without_images_is_refused(names: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="holds no image"):
        look_at(names)


def test_sites_from_zero_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="must count from 1"):
        look_at(["A01_s0_DNA.tif", "A01_s1_DNA.tif"])


def test_a_well_beyond_the_largest_plate_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="well A99 lies outside a plate of 1536 wells"):
        look_at(["A99_s1_DNA.tif"])


def test_a_minority_of_strange_names_is_noted_and_left_out() -> None:
    look = look_at(["A01_s1_DNA.tif", "A02_s1_DNA.tif", "overview.tif"])
    assert [item.name for item in look.unknown] == ["overview.tif"]
    assert look.notes[0].startswith("1 file is no image that is known here")
    assert look.imaged == ("A01-A02",)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("A01_s1_DNA.tif", "QQ01_s1_DNA.tif"),
        ("r01c01f01p01-ch1sk1fk1fl1.tiff", "r33c01f01p01-ch1sk1fk1fl1.tiff"),
        ("r01c01f01p01-ch1sk1fk1fl1.tiff", "r00c01f01p01-ch1sk1fk1fl1.tiff"),
        ("r01c01f01p01-ch1sk1fk1fl1.tiff", "r01c00f01p01-ch1sk1fk1fl1.tiff"),
    ],
)
def test_a_name_without_a_real_well_is_unknown(good: str, bad: str) -> None:
    assert [item.name for item in look_at([good, bad]).unknown] == [bad]


# Wells, sites, planes


@pytest.mark.parametrize(("last", "wells"), [("A01", 96), ("H12", 96), ("I01", 384), ("A13", 384), ("Q01", 1536)])
def test_the_plate_is_the_smallest_common_one_that_holds_all_wells(last: str, wells: int) -> None:
    assert look_at([f"{last}_s1_DNA.tif"]).plate_wells == wells


@pytest.mark.parametrize(
    ("texts", "compact"),
    [
        (["A01-D12"], ("A01-D12",)),
        (["B02-B11", "C02-C11"], ("B02-C11",)),
        (["A01", "A03", "B01"], ("A01-B01", "A03")),
        (["A01", "C01"], ("A01", "C01")),
        (["A01-A03", "B01-B02"], ("A01-A03", "B01-B02")),
        (["A01-B02", "C01-C03"], ("A01-B02", "C01-C03")),
    ],
)
def test_wells_are_named_by_ranges(texts: list[str], compact: tuple[str, ...]) -> None:
    wells = {well for text in texts for well in expand_wells(text)}
    assert compact_wells(wells) == compact
    assert {well for text in compact for well in expand_wells(text)} == wells


def test_sites_are_counted_or_listed() -> None:
    assert declared(look_at(["A01_s1_DNA.tif", "A01_s2_DNA.tif"])).layout.sites == (1, 2)
    assert declared(look_at(["A01_s3_DNA.tif", "A02_s5_DNA.tif"])).layout.sites == (3, 5)


def test_wells_with_fewer_sites_are_noted() -> None:
    for names in (["A01_s1_DNA.tif", "A01_s2_DNA.tif", "A02_s1_DNA.tif"], ["A01_s3_DNA.tif", "A02_s5_DNA.tif"]):
        assert look_at(names).notes == ("not all wells have all 2 sites; those missing will be waited for",)


def test_several_planes_are_projected_and_counted() -> None:
    names = [f"r01c01f01p{z:02d}-ch1sk1fk1fl1.tiff" for z in (1, 2, 3)]
    look = look_at(names)
    text = write_experiment_yaml(look, name="screen")
    assert look.planes == (1, 2, 3)
    assert "  projection: max   # of 3 z planes; or mean, best-focus, or instead of it plane: 2\n" in text
    assert declared(look).recipe.projection == "max"
    assert declared(look).layout.z == 3
    assert places(names, look) == {("A01", 1, "Channel1")}
    assert places(names[:1], look) == {("A01", 1, "Channel1")}


def test_channels_of_different_planes_have_no_common_count() -> None:
    names = ["x_A01_s1_w2.tif", "ZStep_1/x_A01_s1_w1.tif", "ZStep_2/x_A01_s1_w1.tif"]
    look = look_at(names)
    assert (look.planes, look.stack) == ((1, 2), None)
    assert declared(look).layout.z is None


def test_one_plane_is_no_stack() -> None:
    look = look_at(["r01c01f01p01-ch1sk1fk1fl1.tiff"])
    assert declared(look).recipe.projection is None
    assert declared(look).layout.z is None


def test_a_single_plane_that_is_not_the_first_is_no_stack() -> None:
    for names in (["r01c01f01p03-ch1sk1fk1fl1.tiff"], ["A01_z3_DNA.tif"]):
        look = look_at(names)
        assert declared(look).recipe.projection is None


def test_time_points_are_series_of_sites() -> None:
    names = [f"TimePoint_{t}/x_A01_s1_w1.TIF" for t in (1, 2, 4)]
    look = look_at(names)
    assert declared(look).layout.time_points == (1, 2, 4)
    assert declared(look_at(names[:2])).layout.time_points == (1, 2)
    assert "time_points: 2 " in write_experiment_yaml(look_at(names[:2]), name="screen")
    assert len(places(names, look)) == 3


def test_endings_of_both_cases_fit_the_pattern() -> None:
    names = ["A01_s1_DNA.tif", "A02_s1_DNA.TIF"]
    assert len(places(names, look_at(names))) == 2


def test_a_name_with_quotes_is_written_as_it_is() -> None:
    text = write_experiment_yaml(look_at(["A01_s1_DNA.tif"]), name="null")
    assert read_experiment(text.encode()).name == "null"
