"""A first declaration from a folder of images: names of each instrument, headers, the files beside them."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from imaging.arrivals import sort_arrivals
from imaging.errors import ConfigurationError
from imaging.experiment import Experiment, read_experiment
from imaging.experiment_text import write_experiment_yaml
from imaging.folders import StoredFolder
from imaging.formats import FORMATS
from imaging.formats.contract import ToldChannel
from imaging.guessed_channels import guess_channels
from imaging.image_headers import ImageHeader, read_header
from imaging.initialize import FolderLook, compact_wells
from imaging.initialize import look_at as look_at_folder
from imaging.store import open_store
from imaging.wells import expand_wells
from tests.imaging.format_folders import HeldFolder, shared_folder
from tests.imaging.harmony_indices import index

IMAGES = Path(__file__).parents[1] / "data" / "bbbc013" / "images"
GUID = "E94C24BD-45E4-450A-9919-257C714278F7"


def look_at(files: Iterable[str] | Mapping[str, bytes]) -> FolderLook:
    """A look at empty files of these names, or at files with content."""
    folder = HeldFolder(files if isinstance(files, Mapping) else dict.fromkeys(files, b""))
    return look_at_folder(folder.objects(), folder, name="folder")


def declared(look: FolderLook) -> Experiment:
    return read_experiment(write_experiment_yaml(look, name="screen").encode())


def places(files: Iterable[str] | Mapping[str, bytes], look: FolderLook) -> set[tuple[str, int, str]]:
    """Well, site and channel of each name as the pipeline sorts them."""
    folder = HeldFolder(files if isinstance(files, Mapping) else dict.fromkeys(files, b""))
    images = sort_arrivals(declared(look), "", folder.objects(), folder=folder).images
    return {(well, site, channel) for (well, site), channels in images.items() for channel in channels}


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
    look = look_at(["A01_s1_DNA.tif", "A01_s2_DNA.tif", "A02_s1_DNA.tif"])
    assert look.notes == ("not all wells have all 2 sites; those missing will be waited for",)


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


# Several plates in a folder


def test_plates_of_a_data_set_are_listed_with_what_they_hold() -> None:
    names = [f"HUVEC-01/Plate{plate}/{well}_s1_w1.png" for plate in (1, 2) for well in ("B02", "AF48")]
    look = look_at(names[:-1])
    assert [(plate.name, plate.images, plate.wells) for plate in look.plates] == [
        ("HUVEC-01/Plate1", 2, 2),
        ("HUVEC-01/Plate2", 1, 1),
    ]
    assert look.imaged == ("B02", "AF48")
    assert "the folder holds 2 plates or acquisitions (HUVEC-01/Plate1, HUVEC-01/Plate2)" in look.notes[0]
    assert "they differ in their wells or sites" in look.notes[1]


def test_folders_that_hold_the_same_images_are_plates() -> None:
    look = look_at([f"{plate}/x_{well}_s1_w1.TIF" for plate in ("P1", "P2") for well in ("A01", "A02")])
    assert [plate.name for plate in look.plates] == ["P1", "P2"]
    assert len(look.notes) == 1


def test_a_few_copies_are_no_plate() -> None:
    look = look_at([*(f"x_A{column:02d}_s1_w1.TIF" for column in range(1, 13)), "again/x_A01_s1_w1.TIF"])
    assert [plate.name for plate in look.plates] == ["folder"]
    assert look.notes == (
        "the same image lies in several places (again/x_A01_s1_w1.TIF, x_A01_s1_w1.TIF): the newest counts",
    )


def test_expected_images_are_counted_by_plate() -> None:
    places = [(1, 1, site, 1, 0, "1") for site in (1, 2)]
    look = look_at(
        {f"{plate}/Images/Index.xml": index("V6", places) for plate in ("P1", "P2")}
        | dict.fromkeys([f"P{n}/Images/r01c01f01p01-ch1sk1fk1fl1.tiff" for n in (1, 2)], b"")
    )
    assert [(plate.name, plate.images, plate.expected) for plate in look.plates] == [("P1", 1, 2), ("P2", 1, 2)]
    assert look.expected == 4


def test_endings_of_both_cases_fit_the_pattern() -> None:
    names = ["A01_s1_DNA.tif", "A02_s1_DNA.TIF"]
    assert len(places(names, look_at(names))) == 2


# Channels


@pytest.mark.parametrize("stain", ["DNA", "DAPI", "Hoechst", "H33342", "DRAQ5", "nuclei", "Nuclear"])
def test_a_nuclear_stain_has_the_role_nucleus(stain: str) -> None:
    experiment = declared(look_at([f"A01_s1_{stain}.tif", "A01_s1_GFP.tif"]))
    assert experiment.nucleus_channel is not None
    assert experiment.nucleus_channel.name == stain
    assert experiment.recipe.nuclei is not None


def test_one_channel_at_most_is_the_nucleus_and_one_the_cell() -> None:
    look = look_at([f"A01_s1_{stain}.tif" for stain in ("DAPI", "DNA", "RNA", "SYTO")])
    assert [(channel.name, channel.role) for channel in look.channels] == [
        ("DAPI", "nucleus"),
        ("DNA", "other"),
        ("RNA", "cell"),
        ("SYTO", "other"),
    ]


def test_without_a_nuclear_stain_the_declaration_asks_for_it_and_finds_no_objects() -> None:
    look = look_at(["x_A01_s1_w1.TIF"])
    assert "Which channel shows the nuclei?" in write_experiment_yaml(look, name="screen")
    assert declared(look).recipe.nuclei is None


def test_notes_stand_in_the_declaration() -> None:
    look = look_at(["A01_s1_DNA.tif", "A02_s1_DNA.tif", "overview.tif"])
    assert "# Note: 1 file is no image that is known here" in write_experiment_yaml(look, name="screen")


def test_a_full_scale_that_no_header_tells_is_marked_as_a_guess() -> None:
    look = look_at(["A01_s1_DNA.tif"])
    assert (look.channels[0].full_scale, look.channels[0].is_measured) == (65535, False)
    assert "# full_scale is a guess" in write_experiment_yaml(look, name="screen")


# Headers


def tiff(planes: np.ndarray, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    tifffile.imwrite(file, planes, **options)
    file.seek(0)
    return file


PLANE = np.zeros((4, 4), np.uint16)


@pytest.mark.parametrize(
    ("file", "full_scale"),
    [
        (tiff(PLANE), 65535),
        (tiff(PLANE.astype(np.uint8)), 255),
        (tiff(PLANE, extratags=[(281, 3, 1, 4095, True)]), 4095),
        (tiff(PLANE, extratags=[(281, 3, 1, 20000, True)]), 65535),
        (tiff(PLANE.astype(np.int16)), None),
        (tiff(PLANE.astype(np.float32)), None),
        (io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"\0" * 16 + bytes([16, 0])), 65535),
        (io.BytesIO(b"\x89PNG\r\n\x1a\n"), None),
        (io.BytesIO(b"no image at all"), None),
        (io.BytesIO(b""), None),
        (io.BytesIO(b"II*\0" + struct.pack("<I", 10**6)), None),
    ],
)
def test_the_full_scale_comes_from_the_header(file: io.BytesIO, full_scale: int | None) -> None:
    assert read_header(file).full_scale == full_scale


def test_a_header_is_read_without_any_pixel() -> None:
    whole = tiff(np.zeros((512, 512), np.uint8)).getvalue()
    assert read_header(io.BytesIO(whole[:512])).full_scale == 255


def test_one_header_per_channel_is_read() -> None:
    file = tiff(PLANE).getvalue()
    names = [f"A{column:02d}_s1_{stain}.tif" for column in range(1, 13) for stain in ("DNA", "ER")]
    folder = HeldFolder(dict.fromkeys(names, file))
    look_at_folder(folder.objects(), folder)
    assert {name for name, _, _ in folder.reads} == {"A01_s1_DNA.tif", "A01_s1_ER.tif"}


def test_a_header_that_says_nothing_is_looked_for_in_the_next_images() -> None:
    files = {f"A{column:02d}_s1_DNA.tif": b"\0" * 999 for column in range(1, 9)}
    assert not look_at(files).channels[0].is_measured
    folder = HeldFolder(files)
    look_at_folder(folder.objects(), folder)
    assert len({name for name, _, _ in folder.reads}) == 3
    assert look_at(files | {"A02_s1_DNA.tif": tiff(PLANE.astype(np.uint8)).getvalue()}).channels[0].full_scale == 255


def test_an_image_that_is_gone_says_nothing() -> None:
    folder = HeldFolder({"A01_s1_DNA.tif": b"x"})
    objects = folder.objects()
    folder.version = "b"
    assert not look_at_folder(objects, folder).channels[0].is_measured


def test_only_the_header_of_a_large_image_is_fetched() -> None:
    file = tiff(np.zeros((2000, 2000), np.uint16)).getvalue()
    folder = HeldFolder({"A01_s1_DNA.tif": file})
    look_at_folder(folder.objects(), folder)
    assert sum(size or 10**9 for _, _, size in folder.reads) < 200_000


def test_headers_of_members_of_an_archive_are_read() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x_A01_s1_w1.TIF", tiff(PLANE, description=METASERIES.encode(), metadata=None).getvalue())
    look = look_at({"plate.zip": packed.getvalue()})
    assert (look.format, look.image_count, look.pixel_size_um) == ("metaxpress", 1, 0.65)
    assert look.channels[0].name == "DAPI"


METASERIES = """<MetaData><prop id="spatial-calibration-x" type="float" value="0.65"/>
<prop id="spatial-calibration-units" type="string" value="um"/><prop id="_IllumSetting_" type="string" value="DAPI"/>"""
WAVE = '<prop id="wavelength" value="452"/><custom-prop id="Exposure Time" type="string" value="100 ms"/>'
BITS = '<custom-prop id="Camera Bit Depth" type="float" value="12"/>'
OME = '<OME><Pixels PhysicalSizeX="0.3" PhysicalSizeXUnit="µm"><Channel ID="1" Name="Hoechst"/></Pixels></OME>'


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (METASERIES, ImageHeader(65535, 0.65, "DAPI")),
        (METASERIES + WAVE, ImageHeader(65535, 0.65, "DAPI", 452.0, 0.1)),
        (METASERIES + WAVE.replace("100 ms", "2 s"), ImageHeader(65535, 0.65, "DAPI", 452.0, 2.0)),
        (METASERIES + WAVE.replace("100 ms", "soon"), ImageHeader(65535, 0.65, "DAPI", 452.0)),
        (METASERIES + BITS, ImageHeader(4095, 0.65, "DAPI")),
        (METASERIES + BITS + '<prop id="camera-binning-x" value="1"/>', ImageHeader(4095, 0.65, "DAPI")),
        (METASERIES + BITS + '<prop id="camera-binning-x" value="2"/>', ImageHeader(65535, 0.65, "DAPI")),
        (METASERIES.replace('value="um"', 'value="pixel"'), ImageHeader(65535, None, "DAPI")),
        (OME, ImageHeader(65535, 0.3, "Hoechst")),
        (OME.replace("µm", "mm"), ImageHeader(65535, None, "Hoechst")),
        (OME.replace("0.3", "0"), ImageHeader(65535, None, "Hoechst")),
        (OME.replace("0.3", "1e-e"), ImageHeader(65535, None, "Hoechst")),
        ("a plain description", ImageHeader(65535)),
    ],
)
def test_pixel_size_and_stain_come_from_the_description(text: str, header: ImageHeader) -> None:
    assert read_header(tiff(PLANE, description=text.encode(), metadata=None)) == header


def test_stain_and_pixel_size_of_headers_reach_the_declaration() -> None:
    file = tiff(PLANE, description=METASERIES.encode(), metadata=None)
    experiment = declared(look_at({"x_A01_s1_w1.TIF": file.getvalue()}))
    assert (experiment.channels[0].name, experiment.channels[0].role) == ("DAPI", "nucleus")
    assert experiment.layout.pixel_size_um == 0.65
    assert experiment.recipe.nuclei is not None
    assert experiment.recipe.nuclei.diameter_um == (5, 30)


def test_a_stain_that_two_headers_share_names_neither() -> None:
    file = tiff(PLANE, description=METASERIES.encode(), metadata=None)
    look = look_at(dict.fromkeys(["x_A01_s1_w1.TIF", "x_A01_s1_w2.TIF"], file.getvalue()))
    assert [(channel.name, channel.role) for channel in look.channels] == [("Channel1", "other"), ("Channel2", "other")]


# Manifests of instruments

INDEX = index("V5", [(3, column, site, 1, 0, code) for column in (3, 4) for site in (1, 2) for code in ("1", "2")])


def test_what_the_instrument_was_told_reaches_the_declaration() -> None:
    files = {
        "Images/Index.idx.xml": INDEX,
        "Images/r03c03f01p01-ch1sk1fk1fl1.tiff": tiff(PLANE).getvalue(),
        "Images/r03c03f01p01-ch2sk1fk1fl1.tiff": tiff(PLANE).getvalue(),
    }
    look = look_at(files)
    experiment = declared(look)
    assert (experiment.layout.wells, experiment.layout.imaged) == (384, ("C03-C04",))
    assert experiment.layout.pixel_size_um == 0.597976
    assert experiment.layout.sites == (1, 2)
    assert experiment.files.format == "harmony"
    assert (look.wells, look.image_count, look.expected) == (("C03",), 2, 8)
    assert look.plates[0].name == "BR001"
    assert [(channel.name, channel.code, channel.role) for channel in experiment.channels] == [
        ("HOECHST_33342", "1", "nucleus"),
        ("Alexa_488", "2", "other"),
    ]
    assert look.notes == ("no image has come of the well C04; it will be waited for",)


def test_channels_and_time_points_that_have_not_come_are_told() -> None:
    files = {"Index.xml": index("V6", [(1, 1, 1, 1, t, code) for t in (0, 1) for code in ("1", "2")])}
    look = look_at(files | {"r01c01f01p01-ch1sk1fk1fl1.tiff": b""})
    assert look.notes == (
        "no image has come of the time point 2; it will be waited for",
        "no image has come of the channel Alexa 488; it will be waited for",
    )
    assert declared(look).layout.time_points == (1, 2)
    assert declared(look).layout.z is None


def test_a_damaged_manifest_is_noted() -> None:
    look = look_at({"Index.xml": b"<x", "r01c01f01p01-ch1sk1fk1fl1.tiff": b""})
    assert look.notes == ("Index.xml ends too early, on line 1; what it says is not known",)
    assert look.expected is None


def test_a_stain_that_begins_with_a_digit_names_its_channel() -> None:
    channels = guess_channels([ToldChannel("3", "488 long")], {})
    assert (channels[0].name, channels[0].full_scale, channels[0].is_measured) == ("Channel_488_long", 65535, False)


def test_a_full_scale_that_is_not_told_is_that_of_the_other_channels() -> None:
    channels = guess_channels([ToldChannel("1", "a", full_scale=4095), ToldChannel("2", "b")], {})
    assert [(channel.full_scale, channel.is_measured) for channel in channels] == [(4095, True), (4095, False)]


def test_a_folder_whose_images_all_lie_off_the_plate_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no image whose name gives a place on a plate"):
        look_at({"Index.xml": b"<x/>", "overview.tif": b""})


# Real folders


def test_the_real_exported_plate_is_declared_with_its_six_time_points() -> None:
    objects, folder = shared_folder("imagexpress_metaxpress/ImageXpress_exported/9987_Plate_3435")
    look = look_at_folder(objects, folder)
    experiment = declared(look)
    assert (look.image_count, look.expected, look.pixel_size_um) == (16, 96, 1.3672)
    assert experiment.layout.time_points == (1, 2, 3, 4, 5, 6)
    assert [(c.name, c.role, c.emission_nm, c.exposure_s) for c in look.channels[:2]] == [
        ("DAPI", "nucleus", 452, 0.1),
        ("FITC", "other", 520, 0.1),
    ]
    assert len(sort_arrivals(experiment, "", objects, folder=folder).images) == 8


def test_a_real_site_without_an_index_is_described_by_its_images() -> None:
    look = look_at_folder(*shared_folder("harmony_cellpainting_BR00117006"))
    assert (look.plate_wells, look.pixel_size_um, look.expected) == (384, 0.597976, None)
    assert [(c.name, c.code, c.role) for c in look.channels] == [
        ("Alexa_568", "2", "other"),
        ("Channel_488_long", "3", "other"),
        ("HOECHST_33342", "5", "nucleus"),
    ]


def test_a_name_with_quotes_is_written_as_it_is() -> None:
    text = write_experiment_yaml(look_at(["A01_s1_DNA.tif"]), name="null")
    assert read_experiment(text.encode()).name == "null"
