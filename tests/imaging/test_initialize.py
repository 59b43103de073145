"""A first declaration from a folder of images: names of each instrument, headers, the files beside them."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from imaging.instrument_files import read_instrument_file
from imaging.instruments import CONVENTIONS, recognise

from imaging.arrivals import sort_arrivals
from imaging.errors import ConfigurationError
from imaging.experiment import Experiment, read_experiment
from imaging.experiment_text import write_experiment_yaml
from imaging.image_headers import ImageHeader, read_header
from imaging.initialize import FolderLook, compact_wells, look_at
from imaging.store import StoredObject
from imaging.wells import Well, expand_wells, parse_well

IMAGES = Path(__file__).parents[1] / "data" / "bbbc013" / "images"
GUID = "E94C24BD-45E4-450A-9919-257C714278F7"


def declared(look: FolderLook) -> Experiment:
    return read_experiment(write_experiment_yaml(look, name="screen").encode())


def places(names: list[str], look: FolderLook) -> set[tuple[str, int, str]]:
    """Well, site and channel of each name as the pipeline sorts them."""
    objects = [StoredObject(name, 1, "t", 0.0) for name in names]
    images = sort_arrivals(declared(look), "", objects).images
    return {(well, site, channel) for (well, site), channels in images.items() for channel in channels}


NAMES = {
    "Harmony": (
        ["Images/r02c11f01p01-ch1sk1fk1fl1.tiff", "Images/r02c11f12p01-ch4sk1fk1fl1.tiff"],
        {("B11", 1, "Channel1"), ("B11", 12, "Channel4")},
    ),
    "MetaXpress": (
        ["plate_one_A01_s1_w1.TIF", "plate_one_H12_s2_w3.TIF", f"plate_one_H12_s2_w2{GUID}.TIF"],
        {("A01", 1, "Channel1"), ("H12", 2, "Channel3"), ("H12", 2, "Channel2")},
    ),
    "MetaXpress, one site": (
        [f"x_A01_w1{GUID}.tif", f"x_A01_w2{GUID}.tif"],
        {("A01", 1, "Channel1"), ("A01", 1, "Channel2")},
    ),
    "MetaXpress, one channel": (
        [f"P_E07_s1{GUID}.tif", "P_E07_s2.tif"],
        {("E07", 1, "Channel"), ("E07", 2, "Channel")},
    ),
    "row and column at the end": (
        ["Channel1-01-A-01.tif", "Channel2-48-D-12.tif"],
        {("A01", 1, "Channel1"), ("D12", 1, "Channel2")},
    ),
    "well, image number, channel number, site, stain": (
        ["B7_01_1_3_DAPI_001.tif", "D6_01_2_2_GFP_001.tif"],
        {("B07", 3, "DAPI"), ("D06", 2, "GFP")},
    ),
    "well, site, stain": (["A01_s1_DNA.tif", "x_A02_s2_AGP-2.tif"], {("A01", 1, "DNA"), ("A02", 2, "AGP_2")}),
    "CellVoyager": (
        ["p_1_D08_T0001F002L01A01Z01C01.tif", "p_1_E03_T0001F001L01A02Z01C02.tif"],
        {("D08", 2, "Channel01"), ("E03", 1, "Channel02")},
    ),
    "well, stain": (["A01_DNA.tif", "p_B02_ER.tif"], {("A01", 1, "DNA"), ("B02", 1, "ER")}),
    "well": (["A01.png", "AF48.png"], {("A01", 1, "Channel"), ("AF48", 1, "Channel")}),
}


@pytest.mark.parametrize("convention", NAMES)
def test_names_of_each_convention_are_recognised_and_sorted_as_images(convention: str) -> None:
    names, expected = NAMES[convention]
    look = look_at(names)
    assert look.convention == convention
    assert look.image_count == len(names)
    assert places(names, look) == expected


def test_every_convention_is_tried_and_recognises_its_example() -> None:
    assert {convention.name for convention in CONVENTIONS} == set(NAMES)
    for convention in CONVENTIONS:
        found = recognise([convention.example])
        assert found is not None
        assert found[0] is convention


def test_the_real_folder_is_recognised_and_its_declaration_fits_every_image() -> None:
    names = [path.name for path in IMAGES.iterdir()]
    look = look_at(names, lambda name: (IMAGES / name).open("rb"))
    assert (look.wells, look.imaged, look.sites, look.unknown, look.notes) == (96, ("A01-D12",), (1,), (), ())
    assert [(channel.code, channel.full_scale, channel.is_measured) for channel in look.channels] == [
        ("1", 255, True),
        ("2", 255, True),
    ]
    assert len(places(names, look)) == 96


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
    assert look.unknown == ("overview.tif",)
    assert look.notes[0].startswith("1 image names do not fit the pattern")
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
    assert look_at([good, bad]).unknown == (bad,)


# Wells, sites, planes


@pytest.mark.parametrize(("last", "wells"), [("A01", 96), ("H12", 96), ("I01", 384), ("A13", 384), ("Q01", 1536)])
def test_the_plate_is_the_smallest_common_one_that_holds_all_wells(last: str, wells: int) -> None:
    assert look_at([f"{last}_s1_DNA.tif"]).wells == wells


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


def test_several_planes_are_noted() -> None:
    names = [f"r01c01f01p{z:02d}-ch1sk1fk1fl1.tiff" for z in (1, 2)]
    look = look_at(names)
    assert look.notes == ("there are several planes (z) or time points (t): only the first is processed",)
    assert places(names, look) == {("A01", 1, "Channel1")}


def test_a_single_plane_that_is_not_the_first_is_no_stack() -> None:
    names = ["r01c01f01p03-ch1sk1fk1fl1.tiff"]
    assert places(names, look_at(names)) == {("A01", 1, "Channel1")}


def test_the_same_image_in_several_folders_is_noted() -> None:
    look = look_at(["T1/x_A01_s1_w1.TIF", "T2/x_A01_s1_w1.TIF"])
    assert look.notes[0].startswith("the same image lies in several folders (T1, T2)")


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
    assert "# Note: 1 image names do not fit" in write_experiment_yaml(look, name="screen")


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
    opened: list[str] = []

    def open_file(name: str) -> io.BytesIO:
        opened.append(name)
        return tiff(PLANE)

    look_at([f"A{column:02d}_s1_{stain}.tif" for column in range(1, 13) for stain in ("DNA", "ER")], open_file)
    assert opened == ["A01_s1_DNA.tif", "A01_s1_ER.tif"]


METASERIES = """<MetaData><prop id="spatial-calibration-x" type="float" value="0.65"/>
<prop id="spatial-calibration-units" type="string" value="um"/><prop id="_IllumSetting_" type="string" value="DAPI"/>"""
OME = '<OME><Pixels PhysicalSizeX="0.3" PhysicalSizeXUnit="µm"><Channel ID="1" Name="Hoechst"/></Pixels></OME>'


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (METASERIES, ImageHeader(65535, 0.65, "DAPI")),
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
    experiment = declared(look_at(["x_A01_s1_w1.TIF"], lambda _: io.BytesIO(file.getvalue())))
    assert (experiment.channels[0].name, experiment.channels[0].role) == ("DAPI", "nucleus")
    assert experiment.layout.pixel_size_um == 0.65
    assert experiment.recipe.nuclei is not None
    assert experiment.recipe.nuclei.diameter_um == (5, 30)


def test_a_stain_that_two_headers_share_names_neither() -> None:
    file = tiff(PLANE, description=METASERIES.encode(), metadata=None)
    look = look_at(["x_A01_s1_w1.TIF", "x_A01_s1_w2.TIF"], lambda _: io.BytesIO(file.getvalue()))
    assert [(channel.name, channel.role) for channel in look.channels] == [("Channel1", "other"), ("Channel2", "other")]


# Files that instruments lay beside their images

INDEX = """<?xml version="1.0"?><EvaluationInputData><Plates><Plate><PlateRows>16</PlateRows>
<PlateColumns>24</PlateColumns></Plate></Plates><Wells><Well><Row>3</Row><Col>3</Col></Well>
<Well><Row>3</Row><Col>4</Col></Well></Wells><Images>
<Image><Row>9</Row><Col>9</Col><ChannelID>1</ChannelID><ChannelName>HOECHST 33342</ChannelName>
<ImageResolutionX Unit="m">5.9797608E-07</ImageResolutionX></Image>
<Image><ChannelID>2</ChannelID><State>Ok</State><ChannelName>Fluorescein (FITC)</ChannelName></Image>
</Images></EvaluationInputData>"""
HTD = """"Description", "\xe9t\xe9"
"XWells", 12
"YWells", 8
"WellsSelection1", FALSE, FALSE, FALSE
"WellsSelection2", FALSE, TRUE, TRUE
"WaveName1", "DAPI"
"WaveName2", "FITC"
"""


def test_harmony_s_index_names_plate_wells_channels_and_pixel_size() -> None:
    told = read_instrument_file("Index.idx.xml", INDEX.encode())
    assert told.wells == 384
    assert told.imaged == (Well(2, 3), Well(2, 4))
    assert told.channels == {"1": "HOECHST 33342", "2": "Fluorescein (FITC)"}
    assert told.pixel_size_um == pytest.approx(0.597976)


def test_metaxpress_htd_names_plate_wells_and_channels() -> None:
    told = read_instrument_file("9987.HTD", HTD.encode("latin-1"))
    assert told.wells == 96
    assert told.imaged == (parse_well("B02"), parse_well("B03"))
    assert told.channels == {"1": "DAPI", "2": "FITC"}


@pytest.mark.parametrize("name", ["Index.xml", "x.htd"])
def test_an_instrument_s_file_of_another_kind_says_nothing(name: str) -> None:
    told = read_instrument_file(name, b"\xff\xfe nothing")
    assert (told.wells, told.imaged, told.channels, told.pixel_size_um) == (None, (), {}, None)


def test_what_the_instrument_was_told_reaches_the_declaration() -> None:
    files = {
        "Images/Index.idx.xml": INDEX.encode(),
        "Images/r03c03f01p01-ch1sk1fk1fl1.tiff": tiff(PLANE).getvalue(),
        "Images/r03c03f01p01-ch2sk1fk1fl1.tiff": tiff(PLANE).getvalue(),
    }
    look = look_at(files, lambda name: io.BytesIO(files[name]))
    experiment = declared(look)
    assert (experiment.layout.wells, experiment.layout.imaged) == (384, ("C03-C04",))
    assert experiment.layout.pixel_size_um == 0.597976
    assert [(channel.name, channel.code, channel.role) for channel in experiment.channels] == [
        ("HOECHST_33342", "1", "nucleus"),
        ("Fluorescein_FITC", "2", "other"),
    ]
    assert look.notes == ("the instrument's file names 1 wells that have no image yet; they will be waited for",)


def test_a_name_with_quotes_is_written_as_it_is() -> None:
    text = write_experiment_yaml(look_at(["A01_s1_DNA.tif"]), name="null")
    assert read_experiment(text.encode()).name == "null"
