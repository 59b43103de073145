"""A first declaration by what headers and manifests tell: channels, size of a pixel, what should come, plates."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from imaging.arrivals import sort_arrivals
from imaging.errors import ConfigurationError
from imaging.experiment_text import write_experiment_yaml
from imaging.formats.contract import ToldChannel
from imaging.guessed_channels import guess_channels
from imaging.initialize import look_at as look_at_folder
from tests.imaging.format_folders import HeldFolder, shared_folder
from tests.imaging.harmony_indices import index
from tests.imaging.looks import METASERIES, PLANE, declared, look_at, tiff

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


def test_every_channel_has_a_name_of_its_own() -> None:
    told = [
        ToldChannel("1", "Cy5"),
        ToldChannel("2", "cy5"),
        ToldChannel("3", "Channel1"),
        ToldChannel("4", "Channel4"),
    ]
    assert [channel.name for channel in guess_channels(told, {})] == ["Channel1", "Channel2", "Channel3", "Channel4"]


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


def test_codes_that_only_look_like_numbers_come_last() -> None:
    channels = guess_channels([ToldChannel(code) for code in ("²", "10", "2")], {})
    assert [channel.code for channel in channels] == ["2", "10", "²"]


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


def test_notes_quote_an_instrument_s_words_in_signs_that_can_be_printed() -> None:
    told = index("V5", [(2, 3, 1, 1, 0, "1"), (2, 3, 1, 1, 0, "2")]).replace(b"Alexa 488", "Alexa\x94\u202e".encode())
    look = look_at({"Images/Index.idx.xml": told, "Images/r02c03f01p01-ch1sk1fk1fl1.tiff": b""})
    assert any(r"Alexa\x94\u202e" in note for note in look.notes)
